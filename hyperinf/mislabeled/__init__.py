"""Find wrong labels: every row is judged by models that were not trained on it."""
