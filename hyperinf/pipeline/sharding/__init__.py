"""Scoring in shards: each step a process of its own, what it leaves a file, so that a cluster can run them."""
