"""The model of a selection: its files, its tokenizer, its adapter, and how rows are put to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest, model_files
from hyperinf.artifacts.files import sha256_file
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.models.families import ModelFamily, Task, open_family
from hyperinf.models.language import PixelSource, padding_id
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.pretrained import tokenizer_folder
from hyperinf.models.targets import usual_targets
from hyperinf.pipeline.plain_model import plain_source
from hyperinf.selecting.putting import Putter, Use, reader_of
from hyperinf.selecting.tokens import Tokeniser
from hyperinf.settings.selecting import SelectRows
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.training import Adaptation, EncodingSettings

PICTURES = "pictures"


@dataclass(frozen=True)
class Opened:
    """A model's family and tokenizer, without its weights, and how rows are read and put.

    Attributes:
        folder: local folder, or hub name.
        source: the model as later commands can name it.
        family: of the model.
        tokeniser: makes tokens of what is put.
        putter: puts rows.
        use: reads a row.
        columns: that this needs beyond the known ones.
        described: how rows are put, in words.
        picture: the text that stands for a picture, and what the model reads in its place; None for text.
        pad: token to pad with.
        images: where pictures come from; None for text.
        identity: of all that decides the tokens, but the rows.
    """

    folder: str
    source: ModelSource
    family: ModelFamily
    tokeniser: Tokeniser
    putter: Putter
    use: Use
    columns: tuple[str, ...]
    described: str
    picture: tuple[str, str] | None
    pad: int
    images: PixelSource | None
    identity: str = field(repr=False)


def open_model(settings: SelectRows, state: Path) -> Opened:
    """Open the model; one that comes as GGUF is made a plain folder in the state first.

    Raises:
        InputError: no such model, one of another family, or a template that cannot be used.
    """
    source = plain_source(settings.model, settings.seed, settings, state)
    folder = resolve_model_folder(source, resolve_cache(settings), settings.wheel_paths)
    task = Task(state / PICTURES)
    encoding = EncodingSettings(max_length=settings.max_length, dtype=settings.dtype)
    family = open_family(settings.family, folder, task, encoding)
    template = None if settings.template is None else Path(settings.template)
    use, columns, own, described = reader_of(template)
    tokenizer = load_tokenizer(tokenizer_folder(folder, settings.adapter))
    putting, parts, picture, images = None, False, None, None
    whole: tuple[int, ...] = ()
    if settings.family == "vision":
        from hyperinf.models.llava import load_processor, picture_tokens
        from hyperinf.models.pictures import Pictures

        processor = load_processor(folder)
        tokenizer, token = processor.tokenizer, str(processor.image_token)
        picture = (token, token * picture_tokens(processor, folder))
        images, whole = Pictures(processor, state / PICTURES), (int(processor.image_token_id),)
        parts = own is None and bool(getattr(processor, "chat_template", None))
        putting = processor if parts else None
    putter = Putter(putting or tokenizer, settings.chat, own, parts)
    tokeniser = Tokeniser(tokenizer, family.max_length, whole)
    identity = digest(
        {
            "model": str(settings.model),
            "files": model_files(str(source)),
            "template": None if template is None else sha256_file(template),
            "chat": [settings.chat, str(getattr(putting or tokenizer, "chat_template", ""))],
            "max_length": family.max_length,
            "family": settings.family,
        }
    )
    return Opened(folder, source, family, tokeniser, putter, use, columns, described or putter.described, picture,
                  padding_id(tokenizer), images, identity)  # fmt: skip


def adaptation_of(settings: SelectRows, folder: str) -> Adaptation:
    """Say what of a model is trained; the layers that get an adapter are PEFT's choice where none are named.

    Raises:
        InputError: PEFT knows none for such a model.
    """
    targets = settings.target_modules or usual_targets(folder)
    values: Mapping[str, Any] = {
        name: getattr(settings, name) for name in ("rank", "alpha_over_rank", "rslora", "dropout")
    }
    return Adaptation(**values, target_modules=targets)
