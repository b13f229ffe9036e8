"""Causal language models: samples are prompts, and their answers what follows."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hyperinf.data.prompts import Rendered, load_template, render
from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.evaluation.accuracy import decoded
from hyperinf.evaluation.answers import answer_metrics
from hyperinf.gradients.losses import LossFunction, causal_loss
from hyperinf.models.causal import causal_config, load_causal
from hyperinf.models.choices import EncodedChoices, choice_accuracy
from hyperinf.models.families.base import EncodedSamples, Evaluation, Task
from hyperinf.models.language import (
    EncodedAnswers,
    PixelSource,
    Tokenised,
    longest_first,
    padding_id,
    tokenise,
)
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.padding import bounded, longest_input
from hyperinf.models.trainable import adapt, gradient_layers, load_trained, save_trained
from hyperinf.settings.training import Adaptation, EncodingSettings, GradientsOf

_log = logging.getLogger(__name__)
_EVALUATION_BATCH = 32


class CausalFamily:
    """Causal language models of transformers.

    A short answer, one without choices, is trained on with the token that ends a text: the model has to learn where to
    stop, as it is judged by what it writes. An answer among choices is judged by its likelihood and needs no end.

    Args:
        folder: local model folder or hub name.
        task: its ``templates`` say how samples are asked.
        encoding: how prompts become tokens.

    Raises:
        InputError: no tokenizer, or a model of another family.
    """

    loss: LossFunction | None = staticmethod(causal_loss)

    def __init__(self, folder: str, task: Task, encoding: EncodingSettings) -> None:
        self._folder = folder
        self._templates = {source: load_template(name) for source, name in task.templates.items()}
        config = self._config()
        self._tokenizer = load_tokenizer(folder)
        self.max_length = bounded(encoding.max_length, longest_input(self._tokenizer, config))
        self.notes: Mapping[str, Any] = {}
        self._dtype = encoding.dtype
        self._too_long = encoding.too_long
        self._told: set[str] = set()
        self._pad = padding_id(self._tokenizer)
        self._end: int | None = self._tokenizer.eos_token_id
        self._images: PixelSource | None = None
        self._whole: tuple[int, ...] = ()

    def _config(self) -> Any:
        return causal_config(self._folder)

    def pretrained(self) -> Any:
        """Load the pretrained model, on the CPU."""
        return load_causal(self._folder, self._dtype)

    def adapted(self, adaptation: Adaptation, seed: int) -> Any:
        """Load the pretrained model with a fresh adapter, or with dense parts open to training."""
        return adapt(self.pretrained(), adaptation, seed)

    def restored(self, adaptation: Adaptation, seed: int, folder: Path) -> Any:
        """Load the model with the weights that :meth:`save` wrote."""
        model = self.adapted(adaptation, seed)
        load_trained(model, folder)
        return model

    def save(self, model: Any, source: str, folder: Path) -> None:
        """Write the adapter, the dense weights, or both."""
        save_trained(model, source, folder)

    def gradient_layers(self, model: Any, of: GradientsOf) -> list[str] | None:
        """Name the weights whose gradients are taken; None for all that are trained."""
        return gradient_layers(model, of)

    def check(self, model: Any, encoded: Mapping[str, EncodedSamples]) -> None:
        """Refuse nothing more: a prompt that cannot be encoded has been refused by then."""

    def encode(self, samples: Sequence[Sample]) -> EncodedAnswers:
        """Prompts with their observed answers."""
        rendered = [self._rendered(sample) for sample in samples]
        ids = [sample.sample_id for sample in samples]
        rows = self._tokenised(ids, rendered, [each.answer for each in rendered], self._room(samples))
        self._tell(ids, rows, self._room(samples))
        rows = [self._ended(row) if self._is_ended(each) else row for row, each in zip(rows, samples, strict=True)]
        return EncodedAnswers(ids, rows, self._pad, self._images, [sample.image for sample in samples])

    def _room(self, samples: Sequence[Sample]) -> int:
        """Tokens for the prompt and the answer."""
        # Where one answer needs room for its end, all are cut alike: a sample must not depend on its company.
        return self.max_length - int(any(map(self._is_ended, samples)) and self._end is not None)

    def _tokenised(
        self, ids: Sequence[str], prompts: Sequence[Rendered], answers: Sequence[str], room: int
    ) -> list[Tokenised]:
        return tokenise(self._tokenizer, ids, prompts, answers, room, self._too_long, self._whole)

    def _tell(self, ids: Sequence[str], rows: Sequence[Tokenised], room: int) -> None:
        """Warn once of the samples that do not fit without their context."""
        needed = {sample: row.needed for sample, row in zip(ids, rows, strict=True) if row.needed}
        shown = longest_first(needed)
        if needed and shown not in self._told:
            self._told.add(shown)
            what = "lose the beginning of their prompt" if self._too_long == "truncate" else "are skipped"
            _log.warning(
                "%d of %d samples need more than %d tokens without their context and %s: %s",
                len(needed),
                len(set(ids)),
                room,
                what,
                shown,
            )

    def fitting(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """The samples without those that are skipped as too long: with their answer, or with one of the choices.

        Raises:
            InputError: none is left.
        """
        if self._too_long != "skip":
            return tuple(samples)
        texts = [(sample, self._rendered(sample)) for sample in samples]
        asked = [(sample.sample_id, each, text) for sample, each in texts for text in (each.answer, *each.choices)]
        ids, prompts, answers = zip(*asked, strict=True)
        room = self._room(samples)
        rows = self._tokenised(ids, prompts, answers, room)
        skipped = {sample for sample, row in zip(ids, rows, strict=True) if row.needed}
        left = tuple(sample for sample in samples if sample.sample_id not in skipped)
        if not left:
            raise InputError(f"max_length: got {self.max_length}, too few tokens for any of {len(samples):,} samples")
        self._tell(ids, rows, room)
        return left

    def _is_ended(self, sample: Sample) -> bool:
        return not sample.choices

    def _ended(self, row: Tokenised) -> Tokenised:
        return row if self._end is None else replace(row, continuation=(*row.continuation, self._end))

    def evaluation(self, samples: Sequence[Sample]) -> Evaluation:
        """Accuracy by likelihood where the samples have choices, by exact match of greedy decoding where not."""
        if all(sample.choices for sample in samples):
            return self._by_likelihood(samples)
        return self._by_decoding(samples)

    def majority(self, samples: Sequence[Sample]) -> dict[str, float]:
        """What always giving the most frequent true answer scores."""
        most_frequent = Counter(sample.true_answer for sample in samples).most_common(1)[0][0]
        return answer_metrics(samples, [most_frequent] * len(samples))

    def encode_choices(self, samples: Sequence[Sample]) -> EncodedChoices:
        """Every choice of every sample as a continuation of its prompt."""
        rendered = [self._rendered(sample) for sample in samples]
        ids = [sample.sample_id for sample in samples for _ in sample.choices]
        prompts = [each for each, sample in zip(rendered, samples, strict=True) for _ in sample.choices]
        texts = [choice for each in rendered for choice in each.choices]
        rows = self._tokenised(ids, prompts, texts, self.max_length)
        self._tell(ids, rows, self.max_length)
        return EncodedChoices(
            rows,
            counts=[len(sample.choices) for sample in samples],
            characters=[len(text.strip()) for text in texts],
            right=[sample.choices.index(sample.true_answer) for sample in samples],
            pad=self._pad,
        )

    def _by_likelihood(self, samples: Sequence[Sample]) -> Evaluation:
        encoded = self.encode_choices(samples)

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = choice_accuracy(model, encoded, _EVALUATION_BATCH)
            return {"accuracy": found.accuracy, "accuracy_norm": found.accuracy_norm}

        return evaluate

    def _by_decoding(self, samples: Sequence[Sample]) -> Evaluation:
        encoded = self.encode(samples)
        groups = [
            range(len(samples))[start : start + _EVALUATION_BATCH]
            for start in range(0, len(samples), _EVALUATION_BATCH)
        ]
        batches = [encoded.prompts(group) for group in groups]
        limit = encoded.longest_answer + 1

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = decoded(model, batches, limit, self._end, self._pad)
            texts = [self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in found]
            return answer_metrics(samples, texts)

        return evaluate

    def _rendered(self, sample: Sample) -> Rendered:
        return render(self._templates[sample.source], sample)
