"""Data selection: warm up, score the pool, keep a share of it, fine-tune a fresh adapter on that, evaluate."""
