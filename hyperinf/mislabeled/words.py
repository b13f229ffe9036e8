"""What words and letters say of a text, beside what the model does: TF-IDF, brought down to a few hundred numbers.

A model of another language than the texts', or cut after its first tokens, still has these two views beside it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.runtime.progress import track

DIMENSIONS = 256
_FEATURES = 50_000
_VIEWS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "letters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


def word_views(texts: Sequence[str], seed: int) -> dict[str, NDArray[np.float32]]:
    """Compute ``{view: [n, d]}``, d at most 256; a view without anything that occurs twice is left out."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    views = {}
    for name, options in track(_VIEWS.items(), len(_VIEWS), "counting words and letters", "views"):
        try:
            counts = TfidfVectorizer(sublinear_tf=True, min_df=2, max_features=_FEATURES, **options).fit_transform(
                texts
            )
        except ValueError:  # nothing occurs twice
            continue
        dimensions = min(DIMENSIONS, *(side - 1 for side in counts.shape))
        if dimensions > 0:
            reduced = TruncatedSVD(dimensions, n_iter=2, random_state=seed).fit_transform(counts)
            views[name] = reduced.astype(np.float32)
    return views
