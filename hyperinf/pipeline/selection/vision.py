"""Vision-language models: their questions have pictures, and they are judged by what they write."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperinf.data.prompts import Rendered
from hyperinf.data.questions import Question
from hyperinf.errors import InputError
from hyperinf.models.language import TooLong
from hyperinf.models.llava import llava_config, load_llava, load_processor, picture_tokens
from hyperinf.models.pictures import Pictures
from hyperinf.pipeline.selection.family import Evaluation, LanguageFamily


class VisionFamily(LanguageFamily):
    """Vision-language models in the form of LLaVA.

    Every answer is trained on with its end and judged by exact match, choices or not: choices only tell what a wrong
    answer may be.

    Args:
        folder: local model folder or hub name.
        templates: ``{source of the question: name of its prompt template}``.
        max_length: tokens of a prompt with its answer and its picture, at most.
        data: folder of the prepared questions, where their pictures are.
        too_long: what is done with a sample that does not fit even without its context; pictures are never cut.
    """

    def __init__(
        self, folder: str, templates: dict[str, str], max_length: int, data: Path, too_long: TooLong = "truncate"
    ) -> None:
        super().__init__(folder, templates, max_length, data, too_long)
        processor = load_processor(folder)
        self._whole = (int(processor.image_token_id),)
        self.pictures = Pictures(processor, data)
        self._images = self.pictures
        self._picture = str(processor.image_token)
        self._expanded = self._picture * picture_tokens(processor, folder)

    def _config(self) -> Any:
        return llava_config(self._folder)

    def load(self, dtype: str) -> Any:
        """The pretrained model, on the CPU."""
        return load_llava(self._folder, dtype)

    def evaluation(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        """Accuracy of greedy decoding: exact match, or soft accuracy where several people have answered."""
        return self._by_decoding(questions, batch_size)

    def _is_ended(self, question: Question) -> bool:
        return True

    def _rendered(self, question: Question) -> Rendered:
        rendered = super()._rendered(question)
        parts = {name: getattr(rendered, name) for name in ("before", "context", "after")}
        found = sum(text.count(self._picture) for text in (*parts.values(), rendered.answer))
        if found != bool(question.image):
            raise InputError(
                f"sample {question.sample_id!r}: {self._picture} stands in its prompt {found} times, expected"
                f" {int(bool(question.image))}: once, from the template, if there is a picture"
            )
        return replace(rendered, **{name: text.replace(self._picture, self._expanded) for name, text in parts.items()})
