"""Assets from a package index, labelled texts, questions, prompts, noise: whatever the studies read."""
