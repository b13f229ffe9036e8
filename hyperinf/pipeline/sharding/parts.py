"""The files between the steps of a sharded scoring: tensors (safetensors) and what they belong to."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import atomic_file
from hyperinf.artifacts.hashing import tensor_sha256
from hyperinf.errors import InputError
from hyperinf.runtime.profiling import Cost

FORMAT = "hyperinf-part-3"
Costs = dict[tuple[str, str], Cost]


@dataclass(frozen=True)
class Shard:
    """Which shard of how many: 1 of 7 to 7 of 7; 1 of 1 is the whole."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"shards: expected at least 1, got {self.count}")
        if not 1 <= self.index <= self.count:
            raise InputError(f"shard: expected 1 to {self.count}, got {self.index}")

    def __str__(self) -> str:
        return f"{self.index} of {self.count}"


@dataclass(frozen=True)
class Part:
    """What one step leaves.

    Attributes:
        kind: ``target``, ``statistic sums`` of a shard, ``statistics`` of all, ``sums`` of a round, ``products`` or
            ``scores``.
        origin: what it was taken of, each thing by a digest or a setting; parts of one run agree on what they share.
        shard: of the samples.
        content: further JSON values, depending on the kind.
        tensors: depending on the kind; of a part that was read, each is read when it is asked for.
        costs: by ``(method or "shared", stage)``, of this step and those before it.
        path: where it was read from.
    """

    kind: str
    origin: Mapping[str, str]
    content: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    costs: Costs = field(default_factory=dict)
    shard: Shard = Shard()
    path: Path = Path()

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        header = {
            "format": FORMAT,
            "kind": self.kind,
            "origin": dict(self.origin),
            "shard": [self.shard.index, self.shard.count],
            "content": dict(self.content),
            "costs": [
                [*key, cost.seconds, cost.peak_memory_mib, [[*form, times] for form, times in cost.forms.items()]]
                for key, cost in self.costs.items()
            ],
            "sha256": {name: tensor_sha256(tensor) for name, tensor in tensors.items()},
        }
        with atomic_file(path) as temporary:
            # One entry: the order of several is not the same every time.
            whole = json.dumps([header, digest(header)], sort_keys=True)
            save_file(tensors, str(temporary), metadata={"part": whole})

    def expect(self, origin: Mapping[str, str]) -> "Part":
        """This part.

        Raises:
            InputError: it was taken of something else.
        """
        for name in self.origin.keys() & origin.keys():
            if self.origin[name] != origin[name]:
                raise InputError(f"{self.path}: {self.kind} of another {name}; expected a part of this run")
        return self


def read_part(path: Path, kind: str, device: str = "cpu") -> Part:
    """The part in a file; its tensors are read from it, and compared with their SHA-256, when they are asked for.

    Raises:
        InputError: no such file, truncated or changed, or not a part of this kind.
    """
    try:
        with safe_open(str(path), framework="pt") as stored:
            header, own = json.loads((stored.metadata() or {}).get("part", "[{}, null]"))
            names = set(stored.keys())
        if header.get("format") != FORMAT:
            raise InputError(f"{path}: expected a part of format {FORMAT}")
        if own != digest(header) or names != header["sha256"].keys():
            raise _damaged(path)
        if header["kind"] != kind:
            raise InputError(f"{path}: holds {header['kind']}; expected {kind}")
        costs = {
            (method, stage): Cost(seconds, peak, Counter({(what, form): times for what, form, times in forms}))
            for method, stage, seconds, peak, forms in header["costs"]
        }
        tensors = _Stored(path, header["sha256"], device)
        return Part(kind, header["origin"], header["content"], tensors, costs, Shard(*header["shard"]), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a part of a sharded run ({type(error).__name__}: {error})") from None


def read_shards(paths: Sequence[Path], kind: str, device: str = "cpu") -> list[Part]:
    """All shards of a step, in their order, whatever the order of the files.

    Raises:
        InputError: a file that cannot be used, a shard that is missing or there twice, or of another run or another
            number of shards than the first.
    """
    if not paths:
        raise InputError(f"parts: no file given; expected every shard's {kind}")
    parts = [read_part(path, kind, device) for path in paths]
    first = parts[0]
    for part in parts:
        if part.shard.count != first.shard.count:
            raise InputError(f"{part.path}: shard {part.shard}; expected one of {first.shard.count}, as {first.path}")
        part.expect(first.origin)
        if part.content.get("round") != first.content.get("round"):
            raise InputError(f"{part.path}: sums of round {part.content['round']}; expected {first.content['round']}")
    found: dict[int, Part] = {}
    for part in parts:
        if part.shard.index in found:
            raise InputError(
                f"{part.path}: shard {part.shard} is also {found[part.shard.index].path}; expected it once"
            )
        found[part.shard.index] = part
    for index in range(1, first.shard.count + 1):
        if index not in found:
            raise InputError(f"parts: shard {index} of {first.shard.count} is missing beside {first.path}")
    return [found[index] for index in sorted(found)]


def total_costs(parts: Sequence[Part]) -> Costs:
    """Seconds and forms of all parts together, and the largest peak of memory of any one."""
    totals: Costs = {}
    for part in parts:
        for key, cost in part.costs.items():
            total = totals.setdefault(key, Cost())
            total.seconds += cost.seconds
            total.forms.update(cost.forms)
            peaks = [peak for peak in (total.peak_memory_mib, cost.peak_memory_mib) if peak is not None]
            total.peak_memory_mib = max(peaks, default=None)
    return totals


class Under(Mapping[str, Tensor]):
    """The tensors whose name begins with ``prefix/``, by the rest of their name."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        self._tensors = tensors
        self._names = {name.partition("/")[2]: name for name in tensors if name.partition("/")[0] == prefix}

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def named_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :class:`Under` takes apart."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


class _Stored(Mapping[str, Tensor]):
    """Tensors of a file, each read when it is asked for and not kept."""

    def __init__(self, path: Path, sha256: Mapping[str, str], device: str) -> None:
        self._path = path
        self._sha256 = sha256
        self._device = device

    def __getitem__(self, name: str) -> Tensor:
        expected = self._sha256[name]
        with safe_open(str(self._path), framework="pt") as stored:
            tensor: Tensor = stored.get_tensor(name).clone()  # not a view of the file
        if tensor_sha256(tensor) != expected:
            raise _damaged(self._path)
        return tensor.to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sha256)

    def __len__(self) -> int:
        return len(self._sha256)


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}: has changed since it was written (another SHA-256 than in its header): damaged; "
        f"remove {path} to have it made again"
    )
