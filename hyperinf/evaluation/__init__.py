"""How well a model, an answer or a score does."""
