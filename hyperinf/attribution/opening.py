"""The model whose training rows are scored, and how rows are put to it."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import sha256_file
from hyperinf.attribution.samples import Samples, answered, classified, read_examples, tagged
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.errors import InputError, listed
from hyperinf.gradients.kinds import plain_model
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.pretrained import family_of, load_pretrained, tokenizer_folder
from hyperinf.models.rows import encode_rows
from hyperinf.selecting.opening import PICTURES, open_model
from hyperinf.selecting.preparing import Rows, prepare_rows
from hyperinf.selecting.putting import reader_of
from hyperinf.selecting.reading import names_of
from hyperinf.selecting.steps import made
from hyperinf.settings.scored import ScoreRows
from hyperinf.settings.selecting import SelectRows
from hyperinf.settings.sources import ModelSource

_SHOWN = 4


class Subject:
    """A model that was trained, with what makes samples of rows; its weights are loaded when they are asked for.

    Args:
        settings: of the command.
        scratch: folder for what is kept on the disk meanwhile.
        device: where it runs.

    Attributes:
        family: of the model.
        loss: of its samples; the model's own when None.

    Raises:
        InputError: no such model or adapter, of a family that cannot be scored, or settings that do not fit it.
    """

    def __init__(self, settings: ScoreRows, scratch: Path, device: str) -> None:
        self._settings, self._scratch, self._device = settings, scratch, device
        source = ModelSource(**{settings.model.kind: settings.model.name})
        packed = source.kind == "shape" or source.asset == "smollm2" or source.name.endswith(".gguf")
        self._adapter = _adapter(settings.adapter)
        self.loss: LossFunction | None = None
        self._folder = "" if packed else resolve_model_folder(source, resolve_cache(settings), settings.wheel_paths)
        self.family: str = settings.family
        if settings.family == "auto":
            self.family = "causal" if packed else family_of(self._folder, self._adapter)
        if self.family == "vision":
            raise InputError(f"{settings.model}: got a model that sees pictures, expected one of text")
        if self.family in ("classifier", "tagger") and settings.template is not None:
            raise InputError(f"template: got one for a {self.family}, expected none: --text and --label name columns")
        self.described = ""
        self._read = self._prepared if self.family == "causal" else self._encoded
        if self.family == "causal":
            given = {"pool": settings.train, "family": "causal", "out": "rows.jsonl", "store": "auto"}
            self._select = SelectRows.of(settings, **given)
            self._opened = open_model(self._select, scratch)
            self._folder, self.described = self._opened.folder, self._opened.described
            # All positions are needed to tell which token carries what.
            self.loss = None if settings.per_token else self._opened.family.loss

    @cached_property
    def model(self) -> Any:
        """The model with its adapter, to be evaluated."""
        settings = self._settings
        print(f"{settings.model}: loading a {self.family} model", flush=True)
        model = load_pretrained(self._folder, self._adapter, self.family, settings.dtype, settings.bits)
        return (model if settings.bits else model.to(self._device)).eval()

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return load_tokenizer(tokenizer_folder(self._folder, self._adapter))

    @cached_property
    def layers(self) -> list[str] | None:
        """Names of the weights whose gradients are taken; None for all that are trained.

        Raises:
            InputError: none of that name, or neither an adapter nor names.
        """
        if self._settings.layers is None:
            if self._adapter is None:
                some = _some(self.model)
                raise InputError(
                    f"layers: got none for a model without an adapter, expected names of weights such as {some};"
                    " * stands for any letters, '*' for all; or --adapter"
                )
            return None
        return chosen_weights(self.model, self._settings.layers)

    def read(self, role: str, files: Sequence[Path]) -> Samples:
        """Read files of rows.

        Raises:
            InputError: a line for each row that cannot be used.
        """
        return self._read(role, files)

    def _prepared(self, role: str, files: Sequence[Path]) -> Samples:
        names = names_of(files)
        folder, pictures = self._scratch / role, self._scratch / PICTURES
        how = [self._settings.encoding, self._settings.skip_bad_rows]
        identity = digest([self._opened.identity, how, names, [sha256_file(path) for path in files]])
        made(folder, identity, lambda part: prepare_rows(part, files, names, self._select, self._opened, pictures))
        rows = Rows.read(folder)
        encoded, about = rows.encoded(self._opened.pad, None), rows.about
        met = zip(names, about["rows"], about["left_out"], about["forms"], strict=True)
        return Samples(
            encoded,
            rows.sources.tolist(),
            rows.table["row"].tolist(),
            lambda index: self._opened.tokeniser.shown(encoded.stored(index)),
            {name: (count, left_out, forms) for name, count, left_out, forms in met},
        )

    def _encoded(self, _: str, files: Sequence[Path]) -> Samples:
        settings, config = self._settings, plain_model(self.model).config
        if self.family == "seq2seq":
            read, columns, own, described = reader_of(None if settings.template is None else Path(settings.template))
            if own is not None:
                raise InputError(f"{settings.template}: got a chat template, expected YAML with prompt and answer")
            use: Callable[..., Any] = answered(read, self.tokenizer)
            self.described = described
        else:
            columns, use = (), (classified if self.family == "classifier" else tagged)(settings, config)
        encode = partial(_encode, model=self.model, tokenizer=self.tokenizer, max_length=settings.max_length)
        return read_examples(files, use, encode, settings, columns)


def _encode(rows: list[Any], ids: list[str], **how: Any) -> Any:
    return encode_rows([{**row, "sample_id": name} for row, name in zip(rows, ids, strict=True)], **how)


def chosen_weights(model: Any, patterns: Sequence[str]) -> list[str]:
    """Find a model's weights by their names, with or without what is before them, and ``.weight`` after them.

    Args:
        model: any module.
        patterns: names, in which ``*`` stands for any letters.

    Raises:
        InputError: none of such a name.
    """
    names = _weights(model)
    found: dict[str, None] = {}
    for pattern in patterns:
        forms = [f"{before}{pattern}{after}" for before in ("", "*.") for after in ("", ".weight")]
        fitting = [name for name in names if any(fnmatchcase(name, form) for form in forms)]
        if not fitting:
            raise InputError(f"layers: got {pattern!r}, expected weights such as {_some(model)}")
        found |= dict.fromkeys(fitting)
    return list(found)


def _weights(model: Any) -> list[str]:
    return [name for name, weight in model.named_parameters() if weight.is_floating_point() and weight.numel()]


def _some(model: Any) -> str:
    """Name a few weights that are worth naming: matrices, those that are trained where others are not."""
    matrices = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1}
    trained = [name for name, weight in matrices.items() if weight.requires_grad]
    return listed((trained or list(matrices))[-_SHOWN:])


def _adapter(adapter: str | None) -> str | None:
    """See that a folder that is there is one of an adapter."""
    folder = None if adapter is None else Path(adapter).expanduser()
    if folder is None or not folder.exists():
        return adapter
    if not (folder / "adapter_config.json").is_file():
        raise InputError(f"{adapter}: got no adapter_config.json, expected an adapter in PEFT's layout")
    return str(folder)
