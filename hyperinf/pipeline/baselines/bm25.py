"""BM25: how much the words of a training sample are those of the target samples."""

import numpy as np
import torch
from torch import Tensor

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.pipeline.baselines.scene import Scene

K1, B = 1.5, 0.75


def bm25(scene: Scene) -> Tensor:
    """Give minus the mean Okapi BM25 of each training sample over all target samples as queries.

    ``sum_w idf(w) q_w f_w (k1 + 1) / (f_w + k1 (1 - b + b |D| / mean |D|))`` with ``idf(w) = log(1 + (n - n_w + 1/2) /
    (n_w + 1/2))`` (Robertson and Zaragoza 2009); ``q_w`` and ``f_w`` count the word in query and document.

    Raises:
        InputError: samples without a word.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    train, target = ([_text(each) for each in scene.opened.samples(split)] for split in ("train", "validation"))
    words = CountVectorizer(token_pattern=r"(?u)\w+")  # nosec B106 (no password)
    try:
        counts = words.fit_transform(train).astype(np.float64).tocoo()
    except ValueError:
        raise InputError("baselines: got bm25 for training samples without a word, expected texts") from None
    asked = np.asarray(words.transform(target).sum(axis=0)).ravel() / len(target)
    n, lengths = len(train), np.bincount(counts.row, counts.data, minlength=len(train))
    among = np.bincount(counts.col, minlength=counts.shape[1])
    weight = np.log1p((n - among + 0.5) / (among + 0.5)) * asked
    norm = K1 * (1 - B + B * lengths / lengths.mean())
    terms = weight[counts.col] * counts.data * (K1 + 1) / (counts.data + norm[counts.row])
    return -torch.from_numpy(np.bincount(counts.row, terms, minlength=n))


def _text(sample: Sample) -> str:
    return " ".join(filter(None, (sample.context, sample.question, sample.answer)))
