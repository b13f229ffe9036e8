"""Build or load a model, put LoRA on it."""
