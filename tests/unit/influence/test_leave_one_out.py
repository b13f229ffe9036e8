"""The sign and the size of an influence score, against retraining without the sample."""

import numpy as np
import torch

from hyperinf.influence import influence_scores


def test_influence_predicts_the_change_of_target_loss_when_a_sample_is_left_out():
    """Linear regression with Gaussian noise, where the Fisher information is the Hessian up to the noise variance."""
    rng = np.random.default_rng(0)
    n, d = 400, 6
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) + rng.normal(size=n)
    x_target = rng.normal(size=(50, d))
    y_target = x_target @ rng.normal(size=d)

    def solution(keep):
        return np.linalg.lstsq(x[keep], y[keep], rcond=None)[0]

    def target_loss(w):
        return 0.5 * np.mean((x_target @ w - y_target) ** 2)

    w = solution(np.arange(n))
    train = {"w": torch.tensor((x @ w - y)[:, None] * x)[:, None, :]}
    target = {"w": torch.tensor((x_target @ w - y_target)[:, None] * x_target)[:, None, :]}
    without = np.array([target_loss(solution(np.delete(np.arange(n), i))) for i in range(n)])
    change_without = without - target_loss(w)
    for method in ("fim", "hyperinf"):
        scores = influence_scores(train, target, method=method, damping=1e-6).numpy()
        # Leaving sample i out takes weight 1/n from it: the loss changes by -influence / n, to first order.
        assert np.corrcoef(-scores, change_without)[0, 1] > 0.97
        slope = np.polyfit(-scores / n, change_without, 1)[0]
        assert 0.7 < slope < 1.3
