"""Scores of one's own rows for one's own model: the command ``hyperinf score TRAIN``, and a callback for a Trainer."""
