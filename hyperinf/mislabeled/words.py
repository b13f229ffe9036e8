"""What words and letters say of a text, beside what the model does: TF-IDF, brought down to a few hundred numbers.

A model of another language than the texts', or cut after its first tokens, still has these two views beside it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.parts import State
from hyperinf.runtime.progress import track

DIMENSIONS = 256
_FEATURES = 50_000
_VIEWS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "letters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


def word_views(texts: Sequence[str], seed: int, state: State | None = None) -> dict[str, NDArray[np.float32]]:
    """Compute ``{view: [n, d]}``, d at most 256; a view without anything that occurs twice is left out.

    Args:
        texts: n texts.
        seed: of the reduction.
        state: keeps the views.
    """
    kept = state or State(None, "")
    views = {}
    for name in track(_VIEWS, len(_VIEWS), "counting words and letters", "views"):
        view = kept.once(name, partial(_view, texts, _VIEWS[name], seed))["view"]
        if view.shape[1]:
            views[name] = view
    return views


def _view(texts: Sequence[str], options: Mapping[str, Any], seed: int) -> dict[str, NDArray[np.float32]]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    nothing = {"view": np.zeros((len(texts), 0), dtype=np.float32)}
    try:
        counts = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=_FEATURES, **options).fit_transform(texts)
    except ValueError:  # nothing occurs twice
        return nothing
    dimensions = min(DIMENSIONS, *(side - 1 for side in counts.shape))
    if dimensions < 1:
        return nothing
    # Directions of equal singular values are turned by a mere rounding: by one thread they are the same on any machine.
    with threadpool_limits(1, user_api="blas"):
        reduced = TruncatedSVD(dimensions, n_iter=2, random_state=seed).fit_transform(counts)
    return {"view": reduced.astype(np.float32)}
