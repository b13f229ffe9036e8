"""Wrong labels by the out-of-sample probabilities of a model of one's own; nothing is trained here or fetched."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from hyperinf import find_mislabeled

digits = load_digits()
rng = np.random.default_rng(0)
labels = digits.target.copy()
wrong = rng.choice(len(labels), 60, replace=False)
labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10

probabilities = cross_val_predict(
    LogisticRegression(max_iter=200), digits.data / 16, labels, cv=5, method="predict_proba"
)
table = find_mislabeled(pd.DataFrame({"label": labels}), probabilities=probabilities)
print(table[["rank", "given_label", "suggested_label", "probability_wrong"]].head())
print(f"of the first {len(wrong)} rows {np.isin(table['row'].head(len(wrong)) - 1, wrong).mean():.0%} are wrong")
