"""Mislabel detection and scoring of one's own gradients: the rooms below, composed."""
