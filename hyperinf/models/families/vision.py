"""Vision-language models: their samples have pictures, and they are judged by what they write."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hyperinf.data.prompts import Rendered
from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.models.families.base import Evaluation, Task
from hyperinf.models.families.causal import CausalFamily
from hyperinf.models.llava import llava_config, load_llava, load_processor, picture_tokens
from hyperinf.models.pictures import Pictures
from hyperinf.settings.training import EncodingSettings


class VisionFamily(CausalFamily):
    """Vision-language models in the form of LLaVA.

    Every answer is trained on with its end and judged by exact match, choices or not: choices only tell what a wrong
    answer may be. Pictures are never cut.

    Args:
        folder: local model folder or hub name.
        task: its ``data`` is where the samples' pictures are.
        encoding: how prompts become tokens, those of the picture included.
    """

    def __init__(self, folder: str, task: Task, encoding: EncodingSettings) -> None:
        super().__init__(folder, task, encoding)
        processor = load_processor(folder)
        self._whole = (int(processor.image_token_id),)
        self.pictures = Pictures(processor, task.data)
        self._images = self.pictures
        self._picture = str(processor.image_token)
        self._expanded = self._picture * picture_tokens(processor, folder)

    def _config(self) -> Any:
        return llava_config(self._folder)

    def pretrained(self) -> Any:
        """Load the pretrained model, on the CPU."""
        return load_llava(self._folder, self._dtype)

    def evaluation(self, samples: Sequence[Sample]) -> Evaluation:
        """Accuracy of greedy decoding: exact match, or soft accuracy where several people have answered."""
        return self._by_decoding(samples)

    def _is_ended(self, sample: Sample) -> bool:
        return True

    def _rendered(self, sample: Sample) -> Rendered:
        rendered = super()._rendered(sample)
        parts = {name: getattr(rendered, name) for name in ("before", "context", "after")}
        found = sum(text.count(self._picture) for text in (*parts.values(), rendered.answer))
        if found != bool(sample.image):
            raise InputError(
                f"sample {sample.sample_id!r}: {self._picture} stands in its prompt {found} times, expected"
                f" {int(bool(sample.image))}: once, from the template, if there is a picture"
            )
        return replace(rendered, **{name: text.replace(self._picture, self._expanded) for name, text in parts.items()})
