"""Classifiers of texts and of pairs of texts."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.evaluation.accuracy import classification_accuracy
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.classifier import adapted_classifier, classifier_config, load_adapted_classifier, save_adapter
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.families.base import EncodedSamples, Evaluation, Task
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.padding import agree_on_padding, bounded, longest_input, tell_padding
from hyperinf.models.trainable import gradient_layers
from hyperinf.settings.training import Adaptation, EncodingSettings, GradientsOf

_log = logging.getLogger(__name__)
_EVALUATION_BATCH = 64


class ClassifierFamily:
    """Encoders and decoders of transformers with a classification head; the head is trained beside the adapter.

    Args:
        folder: local model folder or hub name.
        task: its ``labels`` are the classes.
        encoding: how samples become tokens.

    Raises:
        InputError: no tokenizer, a model that does not classify into so many classes, or samples without classes.
    """

    loss: LossFunction | None = None

    def __init__(self, folder: str, task: Task, encoding: EncodingSettings) -> None:
        if not task.labels:
            raise InputError(f"{task.data}: got samples without classes in common, expected those of a classification")
        self._folder, self._labels, self._encoding = folder, task.labels, encoding
        self._number = {name: index for index, name in enumerate(task.labels)}
        config = classifier_config(folder, len(task.labels))
        self._tokenizer = load_tokenizer(folder)
        padding = agree_on_padding(self._tokenizer, config)
        self.notes: Mapping[str, Any] = {} if padding is None else {"padding": padding}
        self._warned: set[tuple[str, ...]] = set()
        # Some models tell their longest input only once they are there.
        self.max_length = bounded(encoding.max_length, longest_input(self._tokenizer, config))

    def adapted(self, adaptation: Adaptation, seed: int) -> Any:
        """Load the pretrained model with a fresh adapter and, where its checkpoint has none, a fresh head."""
        model = adapted_classifier(self._folder, len(self._labels), adaptation, seed, self._encoding.dtype)
        return self._told(model)

    def restored(self, adaptation: Adaptation, seed: int, folder: Path) -> Any:
        """Load the model with the adapter and the head that :meth:`save` wrote."""
        del adaptation, seed  # the adapter knows its own
        return self._told(load_adapted_classifier(self._folder, len(self._labels), folder, self._encoding.dtype))

    def save(self, model: Any, source: str, folder: Path) -> None:
        """Write adapter and head."""
        save_adapter(model, source, folder)

    def gradient_layers(self, model: Any, of: GradientsOf) -> list[str] | None:
        """Name the weights whose gradients are taken; None for all that are trained."""
        return gradient_layers(model, of)

    def fitting(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Leave out the samples that are skipped as too long.

        Raises:
            InputError: none is left, or ``too_long`` is ``refuse`` and there are some.
        """
        if self._encoding.too_long == "truncate":
            return tuple(samples)
        texts, pairs = _texts(samples)
        second = {} if pairs is None else {"text_pair": pairs}
        rows = self._tokenizer(text=texts, **second, truncation=False)["input_ids"]
        long = [sample.sample_id for sample, row in zip(samples, rows, strict=True) if len(row) > self.max_length]
        if not long:
            return tuple(samples)
        if self._encoding.too_long == "refuse" or len(long) == len(samples):
            raise InputError(
                f"max_length: got {len(long):,} samples of more tokens (first {long[0]!r}), expected at most"
                f" {self.max_length}"
            )
        _log.warning("%d samples of more than %d tokens are left out (first %r)", len(long), self.max_length, long[0])
        return tuple(sample for sample in samples if sample.sample_id not in set(long))

    def encode(self, samples: Sequence[Sample]) -> EncodedText:
        """Encode texts, cut at their end, with their observed classes."""
        texts, pairs = _texts(samples)
        ids, labels = [each.sample_id for each in samples], [self._class_of(each) for each in samples]
        encoded = EncodedText(self._tokenizer, ids, texts, pairs, labels, self.max_length)
        if encoded.truncated and encoded.ids not in self._warned:
            self._warned.add(encoded.ids)
            _log.warning(
                "%d of %d texts have more than %d tokens and are cut at their end",
                encoded.truncated,
                len(encoded),
                self.max_length,
            )
        return encoded

    def check(self, model: Any, encoded: Mapping[str, EncodedSamples]) -> None:
        """See that all texts have as many tokens of the text's end as the head of an encoder-decoder wants.

        Such a head (T5, BART) reads the state at the last of them, and transformers refuses a batch in which their
        numbers differ: in the middle of a training, should one text hold the end's own spelling.

        Raises:
            InputError: names the sample that differs.
        """
        base = model.get_base_model()
        if not base.config.is_encoder_decoder or hasattr(base, "score"):
            return
        end = base.config.eos_token_id
        counts = {name: each.counts(end) for name, each in encoded.items() if isinstance(each, EncodedText)}
        wanted = max(1, min(min(each) for each in counts.values()))
        for name, numbers in counts.items():
            for sample, count in zip(encoded[name].ids, numbers, strict=True):
                if count != wanted:
                    raise InputError(
                        f"{name}: sample {sample!r}: got {count} tokens that end a text (id {end}), expected {wanted}"
                        " as in all others: the model's head reads the last one"
                    )

    def evaluation(self, samples: Sequence[Sample]) -> Evaluation:
        """Prepare the accuracy of the most likely class."""
        true = [replace(each, answer=each.true_answer) for each in samples]
        batches = Batches(self.encode(true), _EVALUATION_BATCH)

        def evaluate(model: nn.Module) -> dict[str, float]:
            return {"accuracy": classification_accuracy(model, batches)}

        return evaluate

    def majority(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Score the most frequent class."""
        most = Counter(each.true_answer for each in samples).most_common(1)[0][1]
        return {"accuracy": most / len(samples)}

    def _told(self, model: Any) -> Any:
        tell_padding(model.config, self._tokenizer.pad_token_id)
        self.max_length = bounded(self.max_length, longest_input(self._tokenizer, model.config, model))
        return model

    def _class_of(self, sample: Sample) -> int:
        answer = sample.answer
        if answer not in self._number:
            raise InputError(
                f"sample {sample.sample_id!r}: got answer {answer!r}, expected one of {', '.join(self._labels)}"
            )
        return self._number[answer]


def _texts(samples: Sequence[Sample]) -> tuple[list[str], list[str] | None]:
    """The texts, and the second texts where there are any."""
    texts = [sample.texts for sample in samples]
    pairs = [second for _, second in texts if second is not None]
    if pairs and len(pairs) < len(texts):
        alone = next(sample.sample_id for sample, (_, second) in zip(samples, texts, strict=True) if second is None)
        raise InputError(f"sample {alone!r}: got one text, expected two as others have")
    return [first for first, _ in texts], pairs or None
