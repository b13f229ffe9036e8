"""One sample, whatever its kind, and the prepared folder that later stages read samples from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import atomic_file
from hyperinf.artifacts.records import RECORD, read_record
from hyperinf.errors import InputError

SPLITS = ("train", "validation", "test")
CONTRADICTORY = "contradictory.parquet"
_LISTS = ("choices", "accepted")


def squeezed(text: str) -> str:
    """Put one space between the words of a text."""
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold a question with its answer, or a text with its label.

    A text with a label has the text as ``context``, a second text as ``question``, the names of all classes in the
    order of their numbers as ``choices``, and the name of its own class as ``answer``.

    Attributes:
        sample_id: stable name, made of the source's split (or file) and the row, or of the row's own id.
        context: what there is to read before the question; ``""`` if nothing.
        question: the question itself; ``""`` where a text is to be continued or classified.
        choices: distinct and not empty; ``()`` where a short answer is wanted.
        answer: the observed answer, one of the choices where there are any.
        true_answer: the answer before any corruption.
        corruption: ``""``, ``"label_noise"`` or ``"off_task"``.
        image: path of the image, relative to the prepared folder; ``""`` for text.
        kind: the kind of question, where the source tells; ``""`` otherwise.
        source: name of the source data set; off-task samples have another than the rest.
        accepted: the answers of all people asked, with repetition, where a set has several; ``()`` otherwise.
    """

    sample_id: str
    context: str
    question: str
    choices: tuple[str, ...]
    answer: str
    true_answer: str
    corruption: str = ""
    image: str = ""
    kind: str = ""
    source: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, str | None]:
        """Give the text that a classifier reads and the second one, or None where there is one only."""
        if self.context and self.question:
            return self.context, self.question
        return self.context or self.question, None

    @property
    def group(self) -> tuple[str, ...]:
        """Give what no two splits may share: the image, or else what is asked about what, whatever the choices."""
        return (self.image,) if self.image else self._asked

    @property
    def key(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """Give what makes two samples copies: the same is asked, with the same choices in whatever order."""
        return self._asked, frozenset(map(squeezed, self.choices))

    @property
    def label(self) -> str:
        """Give what copies of a sample may disagree on."""
        return squeezed(self.true_answer)

    @property
    def _asked(self) -> tuple[str, ...]:
        return squeezed(self.context), squeezed(self.question), self.image


_NAMES = tuple(field.name for field in fields(Sample))


def write_samples(folder: Path, split: str, samples: Sequence[Sample]) -> None:
    """Write ``<folder>/<split>.parquet``; the same samples give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [getattr(each, name) for each in samples] for name in _NAMES}
    with atomic_file(Path(folder) / f"{split}.parquet") as temporary:
        pq.write_table(pa.table(columns, schema=_schema()), temporary)


def read_samples(folder: Path, split: str) -> tuple[Sample, ...]:
    """Read ``<folder>/<split>.parquet``.

    Args:
        folder: what ``hyperinf prepare`` wrote.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        InputError: there is no such split, or the file is not whole or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if split not in SPLITS:
        raise InputError(f"{folder}: got split {split!r}, expected one of {', '.join(SPLITS)}")
    path = Path(folder) / f"{split}.parquet"
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise InputError(f"{path}: got no such file, expected a folder that 'hyperinf prepare' wrote") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: got damaged content ({str(error).splitlines()[0]}), expected a whole Parquet file"
        ) from None
    if not table.schema.equals(_schema()):
        there = ", ".join(table.schema.names)
        raise InputError(f"{path}: got the columns {there}, expected those of samples: {', '.join(_NAMES)}")
    columns = table.to_pydict()
    for name in _LISTS:
        columns[name] = [tuple(value) for value in columns[name]]
    return tuple(Sample(*row) for row in zip(*(columns[name] for name in _NAMES), strict=True))


def write_contradictory(folder: Path, samples: Sequence[tuple[str, Sample]]) -> None:
    """Write ``<folder>/contradictory.parquet``, a row for each sample of which copies have another answer.

    Columns: ``sample_id``; ``group``, the same number for all copies; ``split`` of the source; ``context``,
    ``question`` and ``answer`` as the source has them.

    Args:
        folder: the prepared folder.
        samples: in the order in which they were read, each with the name of its split.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups: dict[object, int] = {}
    numbers = [groups.setdefault(each.key, len(groups)) for _, each in samples]
    texts = {name: [getattr(each, name) for _, each in samples] for name in ("context", "question", "answer")}
    ids = [each.sample_id for _, each in samples]
    table = {"sample_id": ids, "group": numbers, "split": [split for split, _ in samples], **texts}
    with atomic_file(Path(folder) / CONTRADICTORY) as temporary:
        pq.write_table(pa.table(table), temporary)


def read_contradictory(folder: Path) -> dict[str, int]:
    """Read which samples have copies with another answer: the number of its group by sample id, for a ranking.

    Training samples are among them where data was prepared with ``keep_contradictory``. None are where the source has
    none.
    """
    import pyarrow.parquet as pq

    path = Path(folder) / CONTRADICTORY
    if not path.is_file():
        return {}
    table = pq.ParquetFile(path).read(columns=["sample_id", "group"]).to_pydict()
    return dict(zip(table["sample_id"], table["group"], strict=True))


def read_data_info(folder: Path) -> dict[str, Any]:
    """Read the record of a prepared folder.

    Returns:
        Among others ``templates``, the prompt template by :attr:`Sample.source`; ``label_names``, the classes in the
        order of their numbers, or None where samples have no choices in common; ``content_sha256``.

    Raises:
        InputError: it is missing or is another record, or the data has changed since.
    """
    path = Path(folder) / RECORD
    info = read_record(path)
    types = {"templates": dict, "label_names": list | None, "content_sha256": str}
    for name, expected in types.items():
        if not isinstance(info, dict) or name not in info or not isinstance(info[name], expected):
            raise InputError(f"{path}: got no {name}, expected the record that 'hyperinf prepare' wrote of its data")
    return dict(info)


def _schema() -> Any:
    import pyarrow as pa

    strings = pa.list_(pa.field("element", pa.string(), nullable=False))
    return pa.schema([pa.field(name, strings if name in _LISTS else pa.string(), nullable=False) for name in _NAMES])
