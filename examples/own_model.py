"""Which training samples of any torch model are harmful: flipped labels of handwritten digits are found again."""

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from hyperinf import Attributor

torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
order = torch.randperm(len(x))
train, target = order[:1000], order[1000:1400]
flipped = torch.rand(len(train)) < 0.1
y[train[flipped]] = (y[train[flipped]] + torch.randint(1, 10, (int(flipped.sum()),))) % 10

model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(150):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x[train]), y[train]).backward()
    optimizer.step()


def batches(rows):
    """Pairs of sample ids and (inputs, labels)."""
    return [([str(int(row)) for row in part], (x[part], y[part])) for part in rows.split(100)]


scores = Attributor(model, method="hyperinf", damping=0.1).fit(batches(train)).score(batches(target))
print(scores.nlargest(5, "influence"))  # positive is harmful
print(f"flipped labels are found with a ROC-AUC of {roc_auc_score(flipped, scores['influence']):.3f}")
