"""The parts of finding wrong labels, against closed forms and slow loops."""

from pathlib import Path

import numpy as np
import pytest

from hyperinf.artifacts.parts import State
from hyperinf.artifacts.views import Beside, in_parts
from hyperinf.mislabeled.calibration import calibrated, flips, in_order_of
from hyperinf.mislabeled.combination import loss, margin, margins
from hyperinf.mislabeled.confident import looks_clean, row_weights, thresholds
from hyperinf.mislabeled.copies import Copies
from hyperinf.mislabeled.folds import assign_folds
from hyperinf.mislabeled.linear import fit_and_predict, product_of
from hyperinf.mislabeled.nearest import label_shares
from hyperinf.mislabeled.words import word_views


def test_parts_hold_each_class_evenly_and_copies_together():
    labels = np.array([0] * 40 + [1] * 10 + [2] * 3)
    keys = [str(row // 2) for row in range(53)]
    folds = assign_folds(labels, keys, 5, 0)
    assert all(len({folds[row] for row in range(53) if keys[row] == key}) == 1 for key in keys)
    alone = assign_folds(labels, [str(row) for row in range(53)], 5, 0)
    counts = [np.bincount(alone[labels == each], minlength=5) for each in range(3)]
    assert all(each.max() - each.min() <= 1 for each in counts)


def test_a_product_of_experts_is_the_normalised_geometric_mean():
    one, two = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.8, 0.2], [0.9, 0.1]])
    assert product_of([one, two])[0, 0] == pytest.approx(2 / 3)  # sqrt(.4) : sqrt(.1)
    assert product_of([one, two])[1] == pytest.approx([0.9, 0.1])


def test_a_class_without_a_row_to_train_on_is_neither_likely_nor_impossible():
    view = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    labels = np.array([0, 1] * 9 + [2, 0])
    found = fit_and_predict("words", view, labels, 3, np.arange(18), np.array([18]), np.ones(20, np.float32))
    assert found[0, 2] == pytest.approx(1 / 3)
    assert found.sum() == pytest.approx(1)


def test_confident_learning_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9]], dtype=np.float32)
    labels = np.array([0, 0, 0, 1, 1])
    assert thresholds(probabilities, labels) == pytest.approx([0.6, 0.75])
    assert row_weights(probabilities, labels) == pytest.approx([1, 1, 0.25, 1, 1])
    assert looks_clean(probabilities, labels).tolist() == [True, True, False, False, True]


def test_margin_and_loss_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]], dtype=np.float32)
    assert margin(probabilities, np.array([0, 0])) == pytest.approx([-0.5, 0.25])
    assert loss(probabilities, np.array([0, 0])) == pytest.approx(-np.log([0.7, 0.25]))


def test_copies_with_another_label_are_told_apart():
    labels = np.array([0, 1, 0, 1, 1])
    copies = Copies.found(["a", "a", "a", "b", "b"], labels)
    assert copies.contradictory.tolist() == [True, True, True, False, False]
    shares = copies.shares(labels, 2)
    assert shares[1] == pytest.approx([2.25 / 2.5, 0.25 / 2.5])
    assert shares[3] == pytest.approx([0.5, 0.5])


def test_nearest_rows_are_those_of_a_slow_loop():
    draw = np.random.default_rng(1)
    space, labels = draw.normal(size=(60, 5)).astype(np.float32), draw.integers(0, 3, 60)
    train, judged = np.arange(40), np.arange(40, 60)
    found = label_shares(lambda rows: space[rows], train, judged, labels, 3, 0)
    unit = space / np.linalg.norm(space, axis=1, keepdims=True)
    for place, row in enumerate(judged):
        near = sorted(train, key=lambda other: -float(unit[row] @ unit[other]))[:10]
        weights = [max(float(unit[row] @ unit[other]), 1e-3) ** 8 for other in near]
        shares = [sum(w for w, other in zip(weights, near, strict=True) if labels[other] == each) for each in range(3)]
        expected = (np.array(shares) / sum(weights) * 10 + 1 / 3) / 11
        assert found[place] == pytest.approx(expected, abs=1e-4)


def test_margins_are_those_with_each_label():
    likely = np.random.default_rng(2).dirichlet(np.ones(4), 30).astype(np.float32)
    found = margins(likely)
    for row, label in np.ndindex(found.shape):
        others = np.delete(likely[row], label)
        assert found[row, label] == pytest.approx(others.max() - likely[row, label])


def test_flips_are_to_other_labels_as_likely_as_they_are():
    likely = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=np.float32)
    assert flips(likely, np.array([0, 2])) == pytest.approx(np.array([[0, 0.6, 0.4], [0.5, 0.5, 0]]))


@pytest.mark.parametrize("share", [0.03, 0.08, 0.2])
def test_probabilities_of_being_wrong_add_up_to_the_wrong_rows(share: float):
    """Scores of wrong rows are drawn from one distribution and those of right ones from another, as flips are."""
    draw = np.random.default_rng(3)
    wrong = np.arange(20_000) < share * 20_000
    high, low = draw.normal(0.5, 0.25, 20_000), draw.normal(-0.5, 0.25, 20_000)
    scores = np.clip(np.where(wrong, high, low), -1, 1).astype(np.float32)
    of_flips = np.clip(draw.normal(0.5, 0.25, 40_000), -1, 1)
    learned = calibrated(scores, of_flips, np.ones(40_000))
    found = learned.of(scores)
    assert learned.share == pytest.approx(share, rel=0.2)
    assert found.sum() == pytest.approx(wrong.sum(), rel=0.2)
    assert np.all(np.diff(learned.probabilities) >= -1e-6)
    assert found[wrong].mean() > 0.7
    assert found[~wrong].mean() < 0.05


def test_probabilities_follow_another_ranking_and_add_up_to_the_same():
    scores, probabilities = np.array([3.0, 1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.4, 0.9])
    assert in_order_of(scores, probabilities) == pytest.approx([0.25, 0.2, 0.25, 0.9])


def test_a_view_in_a_file_is_read_as_an_array_is(tmp_path: Path):
    whole = np.random.default_rng(4).normal(size=(9000, 3)).astype(np.float32)
    state = State(tmp_path / "s", "a")
    parts = [whole[part] for part in in_parts(len(whole), 1000)]
    view = state.view("v", len(whole), lambda: parts)
    rows = np.random.default_rng(5).permutation(len(whole))
    assert view.shape == whole.shape
    assert np.array_equal(view[rows], whole[rows])
    beside = Beside({"encoding": whole, "words": view}, {"words": 2.0})
    assert np.array_equal(beside[rows[:5]], np.hstack([whole, 2 * whole])[rows[:5]])
    again = State(tmp_path / "s", "a").view("v", len(whole), lambda: pytest.fail("computed twice"))
    assert np.array_equal(again[rows], whole[rows])
    path = tmp_path / "s" / "v.npy"
    path.write_bytes(path.read_bytes()[:-8])
    assert State(tmp_path / "s", "a").view("v", len(whole), lambda: parts).shape == whole.shape
    assert State(tmp_path / "s", "a").view("none", 4, lambda: [whole[:4, :0]])[rows[:2]].shape == (2, 0)


def test_a_state_of_nobody_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    state = State(None, "")
    assert state.once("x", lambda: {"p": np.zeros(2, np.float32)})["p"].tolist() == [0, 0]
    assert list(tmp_path.iterdir())
    del state
    assert not list(tmp_path.iterdir())


def test_words_of_a_long_table_are_learned_from_a_part_of_it(monkeypatch: pytest.MonkeyPatch):
    draw = np.random.default_rng(6)
    texts = [" ".join(f"w{draw.integers(0, 30)}" for _ in range(6)) for _ in range(400)]
    state = State(None, "")
    whole = word_views(texts, 0, state)["words"][np.arange(400)]
    monkeypatch.setattr("hyperinf.mislabeled.words._MOST_ROWS", 300)
    other = State(None, "")
    part = word_views(texts, 0, other)["words"][np.arange(400)]
    assert part.shape == whole.shape
    assert np.corrcoef((part @ part.T).ravel(), (whole @ whole.T).ravel())[0, 1] > 0.95


def test_a_state_computes_once_and_forgets_other_settings(tmp_path: Path):
    calls = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"p": np.arange(3, dtype=np.float32)}

    for _ in range(2):
        assert State(tmp_path / "s", "a").once("x", compute)["p"].tolist() == [0, 1, 2]
    assert len(calls) == 1
    (tmp_path / "s" / "x.npz").write_bytes(b"damaged")
    State(tmp_path / "s", "a").once("x", compute)
    State(tmp_path / "s", "b").once("x", compute)
    assert len(calls) == 3
