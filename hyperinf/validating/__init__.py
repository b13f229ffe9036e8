"""The command ``validate TRAIN``: whether scores on one's own data and model predict retraining."""
