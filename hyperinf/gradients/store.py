"""Gradients on disk: safetensors shards under one JSON header, read a shard at a time by memory map."""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperinf.artifacts.files import atomic_directory, read_json, sha256_file, write_json
from hyperinf.errors import InputError
from hyperinf.gradients.live import LiveSource
from hyperinf.gradients.source import GradientBlock, GradientSource
from hyperinf.gradients.sweeping import checked
from hyperinf.gradients.units import exponent_needed, exponent_of, shifted

FORMAT = "hyperinf-gradients-2"
# Before it, shards had no exponents.
READABLE = (FORMAT, "hyperinf-gradients-1")
HEADER = "store.json"
LOSSES = "@losses"
_UNFINISHED = ".unfinished"
# Of the largest entry of a layer in a float16 shard: a quarter of the largest number there is.
_HALF_EXPONENT = 13
# Of units that no gradient in float64 goes beyond.
_EXPONENTS = range(-1100, 1100)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


class GradientStore(GradientSource):
    """Gradients on disk; one shard is one block.

    Args:
        folder: what :meth:`write` made.
        fingerprint: when given, must equal the one written (model, data, ...).
        device: where blocks are put.

    Attributes:
        origin: where the gradients were taken, whose factors can be had again; set by who has the model at hand.

    Blocks come out as float32, or float64 where that was written. A layer whose gradients in a shard need it is stored
    in units of a power of two, ``2^e``, so that a narrow dtype loses no more than digits; it comes out as float64 where
    float32 could not hold it.

    Raises:
        InputError: no store there, a foreign or newer format, another fingerprint, or a shard that is missing,
            truncated or does not match the header; the message names it.
    """

    def __init__(
        self,
        folder: Path | str,
        fingerprint: Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self._folder = Path(folder)
        self._device = str(device)
        self.origin: GradientSource | None = None
        header = read_json(self._folder / HEADER)
        if not isinstance(header, dict) or header.get("format") not in READABLE:
            raise InputError(
                f"{self._folder / HEADER}: got another file, expected a store of format {' or '.join(READABLE)}"
            )
        try:
            self._format = str(header["format"])
            self._layers = {str(name): (int(r), int(d)) for name, r, d in header["layers"]}
            self._shards = [
                (str(shard["file"]), tuple(map(str, shard["sample_ids"])), int(shard["bytes"]), str(shard["sha256"]))
                for shard in header["shards"]
            ]
            self._exponents = {
                str(shard["file"]): _read_exponents(shard.get("exponents", {})) for shard in header["shards"]
            }
            self._losses = bool(header["losses"])
            self._dtype = _DTYPES[header["dtype"]]
            self.fingerprint: dict[str, Any] = dict(header["fingerprint"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(f"{self._folder / HEADER}: got {what}, expected a valid header") from None
        if fingerprint is not None and dict(fingerprint) != self.fingerprint:
            keys = fingerprint.keys() | self.fingerprint.keys()
            different = sorted(key for key in keys if fingerprint.get(key) != self.fingerprint.get(key))
            raise InputError(
                f"{self._folder}: got gradients of something else, expected the same {', '.join(different)}"
            )
        for file, _, size, _ in self._shards:
            path = self._folder / file
            if Path(file).name != file:
                raise InputError(f"{self._folder / HEADER}: got shard {file!r}, expected a plain file name")
            if not path.is_file():
                raise InputError(f"{path}: got no file, expected a shard")
            if path.stat().st_size != size:
                raise InputError(f"{path}: got {path.stat().st_size} bytes, expected {size}: truncated or replaced")

    @classmethod
    def write(
        cls,
        folder: Path | str,
        source: GradientSource,
        fingerprint: Mapping[str, Any] | None = None,
        dtype: str = "float32",
        shard_bytes: int = 64 * 2**20,
        go_on: bool = False,
    ) -> "GradientStore":
        """Write all of ``source`` to ``folder``: whole or not at all.

        Args:
            folder: replaced if it exists.
            source: swept once.
            fingerprint: what the gradients belong to (JSON values); checked when the store is opened.
            dtype: ``float32``, ``float64``, ``bfloat16`` or ``float16``.
            shard_bytes: a shard is closed once it holds this much; a sample larger than this has its own.
            go_on: keep in ``folder.part`` what was written before a kill, and go on after its last whole shard; by one
                process at a time. What belongs to another ``fingerprint`` is written anew.

        Raises:
            InputError: an unknown dtype; blocks that do not fit (see ``checked``); a gradient that the dtype turns into
                zeros or infinities (names the layer and the sample).
        """
        if dtype not in _DTYPES:
            raise InputError(f"dtype: got {dtype!r}, expected one of {', '.join(_DTYPES)}")
        layers = dict(source.layers)
        sample_bytes = sum(r * d for r, d in layers.values()) * _DTYPES[dtype].itemsize
        per_shard = max(1, shard_bytes // max(1, sample_bytes))
        of_what = json.dumps(dict(fingerprint or {}), sort_keys=True)
        if go_on and (Path(folder) / HEADER).is_file():
            with suppress(InputError):
                return cls(folder, fingerprint)
        with _kept(Path(folder)) if go_on else atomic_directory(folder) as temporary:
            shards, has_losses = _whole_shards(temporary, of_what)
            done = sum(len(shard["sample_ids"]) for shard in shards)
            for ids, originals in _regroup(source, per_shard, done):
                has_losses = LOSSES in originals
                tensors, exponents = _narrowed(originals, ids, _DTYPES[dtype])
                own = {
                    "format": FORMAT,
                    "sample_ids": json.dumps(ids),
                    "fingerprint": of_what,
                    "exponents": json.dumps(exponents, sort_keys=True),
                }
                path = temporary / _shard_name(len(shards))
                save_file(tensors, str(temporary / _UNFINISHED), metadata=own)
                os.replace(temporary / _UNFINISHED, path)
                shards.append(_described(path, ids, exponents))
            header = {
                "format": FORMAT,
                "layers": [[name, r, d] for name, (r, d) in layers.items()],
                "dtype": dtype,
                "losses": has_losses,
                "fingerprint": dict(fingerprint or {}),
                "shards": shards,
            }
            write_json(temporary / HEADER, header)
        return cls(folder)

    @property
    def device(self) -> torch.device:
        """Where blocks are put."""
        return torch.device(self._device)

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """``{layer name: (r, d)}``."""
        return dict(self._layers)

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids in the order of the shards."""
        return tuple(sample for _, ids, _, _ in self._shards for sample in ids)

    def __iter__(self) -> Iterator[GradientBlock]:
        for file, ids, _, _ in self._shards:
            names = [*self._layers, LOSSES] if self._losses else list(self._layers)
            tensors = self._read(file, ids, names)
            losses = tensors.pop(LOSSES, None)
            # Tensors may be views of the mapped file: a caller that keeps the losses must not keep every shard mapped.
            yield GradientBlock.of(tensors, ids, None if losses is None else losses.clone())

    def layer(self, name: str) -> Tensor:
        """Read all samples' gradients of one layer, ``Tensor[n, r, d]``, and no other layer."""
        return torch.cat([self._read(file, ids, [name])[name] for file, ids, _, _ in self._shards])

    def verify(self) -> None:
        """Read every shard and compare its SHA-256 with the header's.

        Raises:
            InputError: names the first shard whose bytes changed.
        """
        for file, _, _, digest in self._shards:
            if sha256_file(self._folder / file) != digest:
                raise InputError(f"{self._folder / file}: got a corrupt shard, expected content of its SHA-256")

    def _read(self, file: str, ids: tuple[str, ...], names: list[str]) -> dict[str, Tensor]:
        path = self._folder / file
        tensors = {}
        exponents = self._exponents[file]
        try:
            with safe_open(str(path), framework="pt", device=self._device) as shard:
                metadata = shard.metadata() or {}
                # The same samples' gradients of another model have the same ids and the same size.
                of_what = json.dumps(self.fingerprint, sort_keys=True)
                own = metadata.get("format") == self._format and metadata["fingerprint"] == of_what
                own = own and json.loads(metadata.get("exponents", "{}")) == exponents
                if not own or json.loads(metadata["sample_ids"]) != list(ids):
                    raise InputError(f"{path}: got a shard of another store, expected this one's")
                for name in names:
                    tensor = shard.get_tensor(name)
                    expected = [len(ids)] if name == LOSSES else [len(ids), *self._layers[name]]
                    if list(tensor.shape) != expected:
                        raise InputError(f"{path}: got {name!r} of shape {list(tensor.shape)}, expected {expected}")
                    tensors[name] = _widened(tensor, exponents.get(name, 0))
        except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: got {error}, expected a whole shard") from None
        return tensors


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


def _described(path: Path, ids: list[str], exponents: Mapping[str, int]) -> dict[str, Any]:
    size, digest = path.stat().st_size, sha256_file(path)
    return {"file": path.name, "sample_ids": ids, "exponents": exponents, "bytes": size, "sha256": digest}


@contextmanager
def _kept(folder: Path) -> Iterator[Path]:
    """Give a folder beside ``folder`` that takes its place on success, and stays as it is on any error."""
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    yield part
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)


def _whole_shards(folder: Path, of_what: str) -> tuple[list[dict[str, Any]], bool]:
    """List the shards that are there already, and whether they hold losses; what cannot be gone on from is removed."""
    shards: list[dict[str, Any]] = []
    has_losses = False
    path = folder / _shard_name(0)
    with suppress(SafetensorError, OSError, KeyError, ValueError):
        while path.is_file():
            with safe_open(str(path), framework="pt") as shard:
                own, has_losses = shard.metadata() or {}, LOSSES in shard.keys()  # noqa: SIM118, it is no mapping
            if own["format"] != FORMAT or own["fingerprint"] != of_what:
                break
            shards.append(_described(path, json.loads(own["sample_ids"]), json.loads(own["exponents"])))
            path = folder / _shard_name(len(shards))
    known = {shard["file"] for shard in shards}
    for each in folder.iterdir():
        if each.name not in known:
            each.unlink()
    return shards, has_losses


def _read_exponents(value: Mapping[str, Any]) -> dict[str, int]:
    exponents = {str(name): int(exponent) for name, exponent in value.items()}
    for name, exponent in exponents.items():
        if exponent not in _EXPONENTS:
            raise ValueError(f"exponent {exponent} of {name!r}")
    return exponents


def _narrowed(
    originals: Mapping[str, Tensor], ids: Sequence[str], dtype: torch.dtype
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Take a shard's tensors to the store's dtype; say the exponents of those that are in units of their own."""
    tensors, exponents = {}, {}
    for name, original in originals.items():
        if name == LOSSES or torch.promote_types(original.dtype, dtype) == dtype:
            tensors[name] = original if name == LOSSES else original.to(dtype)
            continue
        sizes = torch.where(original.isfinite(), original.abs(), 0).flatten(1).amax(dim=1)
        size = float(sizes.max())
        exponent = exponent_of(size) - _HALF_EXPONENT if dtype == torch.float16 else exponent_needed(size)
        if exponent and size > 0:
            exponents[name] = exponent
        wide = original.to(torch.promote_types(original.dtype, torch.float32))
        tensors[name] = shifted(wide, -exponents.get(name, 0)).to(dtype)
        stored = tensors[name].flatten(1)
        lost = (sizes > 0) & ~stored.any(dim=1) | (stored.isinf().any(dim=1) & ~original.isinf().flatten(1).any(dim=1))
        if bool(lost.any()):
            row = int(lost.nonzero()[0])
            raise InputError(
                f"store: got gradients of layer {name!r} up to {float(sizes[row]):.3g} for sample {ids[row]!r} beside "
                f"others up to {size:.3g}, expected a range that {str(dtype).removeprefix('torch.')} has"
            )
        worn = int(((sizes > 0) & (stored.abs().amax(dim=1) < torch.finfo(dtype).tiny)).sum())
        if worn:
            warnings.warn(
                f"store: gradients of layer {name!r} of {worn} of {len(ids)} samples from {ids[0]!r} on are so small "
                f"beside the others that they keep fewer digits than {str(dtype).removeprefix('torch.')} has",
                stacklevel=4,
            )
    return tensors, exponents


def _widened(stored: Tensor, exponent: int) -> Tensor:
    """Undo units of ``2^exponent``, in float32 where that holds what was stored and in float64 otherwise."""
    fits = exponent == 0 or (stored.dtype == torch.float16 and -125 <= exponent <= 112)
    return shifted(stored.to(torch.promote_types(stored.dtype, torch.float32 if fits else torch.float64)), exponent)


def _regroup(source: GradientSource, per_shard: int, done: int) -> Iterator[tuple[list[str], dict[str, Tensor]]]:
    """Put blocks of the source together, or cut them, to shards of ``per_shard`` samples; after the first ``done``."""
    waiting: list[dict[str, Tensor]] = []
    ids: list[str] = []
    rest, passed = source, done
    if done and done == len(source):
        return
    if done and isinstance(source, LiveSource):
        rest = source.after(done)
        passed -= len(source) - len(rest)

    def joined(count: int) -> tuple[list[str], dict[str, Tensor]]:
        nonlocal waiting, ids
        whole = {name: torch.cat([piece[name] for piece in waiting]) for name in waiting[0]}
        ready = {name: tensor[:count].contiguous() for name, tensor in whole.items()}
        rest = {name: tensor[count:].clone() for name, tensor in whole.items()}
        taken, ids = ids[:count], ids[count:]
        waiting = [rest] if ids else []
        return taken, ready

    for block in checked(rest, "gradients"):
        piece = {name: gradients.dense().to("cpu") for name, gradients in block.gradients.items()}
        if block.losses is not None:
            piece[LOSSES] = block.losses.to("cpu", torch.promote_types(block.losses.dtype, torch.float32))
        # Of what is written already there may be some more in the first block.
        there, passed = min(passed, len(block)), max(0, passed - len(block))
        waiting.append({name: tensor[there:] for name, tensor in piece.items()})
        ids.extend(block.sample_ids[there:])
        while len(ids) >= per_shard:
            yield joined(per_shard)
    if ids:
        yield joined(len(ids))
