"""Other tools beside hyperinf on one real task: seconds, memory, and how well scores predict retraining."""
