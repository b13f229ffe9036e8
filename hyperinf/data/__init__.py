"""Assets from a package index, text classification sets, label noise: whatever the studies read."""
