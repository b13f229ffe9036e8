"""What words and letters say of a text, beside what the model does: TF-IDF, brought down to a few hundred numbers.

A model of another language than the texts', or cut after its first tokens, still has these two views beside it.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.parts import State
from hyperinf.artifacts.views import View, in_parts, sampled
from hyperinf.runtime.progress import track, waiting

Floats = NDArray[np.float32]
DIMENSIONS = 256
_FEATURES = 50_000
_MOST_ROWS, _MOST_CHARACTERS = 20_000, 4_000_000
"""Of longer tables a sample of the rows tells what is counted: the counts of all would fill the memory."""
_VIEWS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "letters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}
_ITERATIONS = 2


def word_views(texts: Sequence[str], seed: int, state: State) -> dict[str, View]:
    """Compute ``{view: [n, d]}``, d at most 256; a view without anything that occurs twice is left out.

    Args:
        texts: n texts.
        seed: of the reduction, and of the sample that it is learned from where the texts are many.
        state: keeps the views.
    """
    views = {name: state.view(name, len(texts), partial(_parts, name, texts, seed)) for name in _VIEWS}
    return {name: view for name, view in views.items() if view.shape[1]}


def _parts(name: str, texts: Sequence[str], seed: int) -> Iterator[Floats]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    rows = np.arange(len(texts))
    most = min(_MOST_ROWS, _MOST_CHARACTERS * len(texts) // max(1, sum(map(len, texts))))
    learned = sampled(rows, max(1, most), seed)
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=_FEATURES, **_VIEWS[name])
    read = track((texts[row] for row in learned), len(learned), f"counting {name}", "texts")
    try:
        counts = vectorizer.fit_transform(read)
    except ValueError:  # nothing occurs twice
        counts = None
    dimensions = 0 if counts is None else min(DIMENSIONS, *(side - 1 for side in counts.shape))
    if dimensions < 1:
        yield np.zeros((len(texts), 0), dtype=np.float32)
        return
    reduction = TruncatedSVD(dimensions, n_iter=_ITERATIONS, random_state=seed)
    # Directions of equal singular values are turned by a mere rounding: by one thread they are the same on any machine.
    with threadpool_limits(1, user_api="blas"), waiting(f"reducing {name}", _seconds(counts, dimensions)):
        reduced = reduction.fit_transform(counts)
    if len(learned) == len(texts):
        yield reduced.astype(np.float32)
        return
    for part in track(in_parts(len(texts)), len(rows), f"placing {name}", "texts", size=lambda each: len(rows[each])):
        yield reduction.transform(vectorizer.transform(texts[part])).astype(np.float32)


def _seconds(counts: Any, dimensions: int) -> float:
    """Tell how long a reduction takes: it multiplies six times, by some more columns than are wanted."""
    few, columns = counts[: max(1, counts.shape[0] // 50)], np.ones((counts.shape[1], dimensions))
    began = time.monotonic()
    few @ columns
    return (2 * _ITERATIONS + 2) * (time.monotonic() - began) * counts.shape[0] / few.shape[0]
