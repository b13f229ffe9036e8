"""Whatever bytes a file holds, a reader reads it or refuses it in one line; it never fails in another way."""

import gzip
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperinf.data.images import BadImageError, decode_image
from hyperinf.data.origin import Origin
from hyperinf.data.reading import read_source
from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore, TensorSource
from hyperinf.settings.data import DataSettings, SplitNames

ALWAYS_THE_SAME = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LABELLED = {"text": "text", "label": "label"}
ROWS = [{"text": f"a {index}", "label": index % 2} for index in range(6)]


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """A file with some bytes changed, a part cut out, or its end missing."""
    place = st.integers(0, len(content) - 1)

    def change(edits: list[tuple[int, int]], cut: tuple[int, int]) -> bytes:
        changed = bytearray(content)
        for where, byte in edits:
            changed[where] = byte
        first, last = sorted(cut)
        return bytes(changed[:first] + changed[last:])

    edits = st.lists(st.tuples(place, st.integers(0, 255)), max_size=4)
    return st.builds(change, edits, st.one_of(st.just((0, 0)), st.tuples(place, place)))


def refusal(read: Callable[[], object], kind: type[ValueError]) -> str:
    """The message; nothing if it is read."""
    try:
        read()
    except kind as error:
        return str(error)
    return ""


def is_read_or_refused(read: Callable[[], object]) -> None:
    assert "\n" not in refusal(read, InputError)


def file_is_read_or_refused(path: Path, **data: str) -> None:
    origin = Origin(DataSettings.model_validate({"source": f"path:{path}", **(data or LABELLED)}))
    is_read_or_refused(lambda: read_source(origin, SplitNames(), path.parent))


def parquet() -> bytes:
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(file, index=False)
    return file.getvalue()


def picture(kind: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).save(file, kind)
    return file.getvalue()


JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CSV = b"text,label\n" + b"".join(f'"a {index}",{index % 2}\n'.encode() for index in range(6))


@pytest.mark.parametrize(
    ("suffix", "good"),
    [
        ("jsonl", JSONL),
        ("json", b"[" + JSONL.replace(b"}\n{", b"},\n{") + b"]"),
        ("csv", CSV),
        ("csv.gz", gzip.compress(CSV, mtime=0)),
        ("tsv", CSV.replace(b",", b"\t")),
        ("txt", CSV.replace(b'"', b"").replace(b",", b";")),
    ],
)
@ALWAYS_THE_SAME
@given(data=st.data())
def test_text_tables(suffix: str, good: bytes, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(data.draw(st.one_of(st.binary(max_size=200), damaged(good))))
    file_is_read_or_refused(path)


ASKED = "".join(json.dumps({"question": f"{i}?", "choices": ["a", "b"], "answer": "a"}) + "\n" for i in range(6))
TALK = [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hi."}]


@pytest.mark.parametrize(
    ("form", "name", "good"),
    [("record", "mine.jsonl", ASKED.encode()), ("llava", "mine.json", json.dumps([{"conversations": TALK}]).encode())],
)
@ALWAYS_THE_SAME
@given(data=st.data())
def test_files_of_questions(form: str, name: str, good: bytes, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data.draw(st.one_of(st.binary(max_size=60), damaged(good))))
    file_is_read_or_refused(path, format=form)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@ALWAYS_THE_SAME
@given(rows=st.lists(st.fixed_dictionaries({"text": VALUES, "label": VALUES}), min_size=1, max_size=5))
def test_json_lines_of_any_values(rows: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file_is_read_or_refused(path)


@ALWAYS_THE_SAME
@given(content=st.one_of(st.binary(max_size=60), damaged(parquet())))
def test_parquet(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_bytes(content)
    file_is_read_or_refused(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@settings(ALWAYS_THE_SAME, max_examples=60)
@given(data=st.data())
def test_images(kind: str, data: st.DataObject) -> None:
    content = data.draw(st.one_of(st.binary(max_size=60), damaged(picture(kind))))
    assert "\n" not in refusal(lambda: decode_image(content), BadImageError)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("fuzzed") / "store"
    GradientStore.write(folder, TensorSource({"w": torch.ones(3, 2, 2), "u": torch.ones(3, 1, 4)}), {"model": "m"})
    return folder


def swept(folder: Path) -> None:
    for block in GradientStore(folder):
        dict(block.gradients)


@ALWAYS_THE_SAME
@given(data=st.data())
def test_the_header_of_a_gradient_store(data: st.DataObject, store: Path) -> None:
    header = store / "store.json"
    good = header.read_bytes()
    try:
        header.write_bytes(data.draw(st.one_of(st.binary(max_size=60), damaged(good))))
        is_read_or_refused(lambda: swept(store))
    finally:
        header.write_bytes(good)


PARTS = st.sampled_from(["format", "layers", "dtype", "losses", "fingerprint", "shards"])


@ALWAYS_THE_SAME
@given(part=PARTS, value=VALUES)
def test_the_header_of_a_gradient_store_with_any_value_in_it(part: str, value: object, store: Path) -> None:
    header = store / "store.json"
    good = header.read_text()
    try:
        header.write_text(json.dumps({**json.loads(good), part: value}))
        is_read_or_refused(lambda: swept(store))
    finally:
        header.write_text(good)


@ALWAYS_THE_SAME
@given(data=st.data())
def test_the_header_of_a_shard(data: st.DataObject, store: Path) -> None:
    (shard,) = store.glob("*.safetensors")
    good = shard.read_bytes()
    length = 8 + struct.unpack("<Q", good[:8])[0]
    try:
        head = data.draw(damaged(good[:length]))
        # Of the size that the store's header names, so that what is inside decides.
        shard.write_bytes((head + good[length:] + bytes(len(good)))[: len(good)])
        is_read_or_refused(lambda: swept(store))
    finally:
        shard.write_bytes(good)
