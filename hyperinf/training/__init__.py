"""Fine-tuning: the loop and the state it resumes from."""
