"""Text files line by line, packed or not.

pyarrow unpacks them. That a byte is no text every decoder says, but none says on which line: it is looked for here.
"""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError

DELIMITED = (".csv", ".tsv", ".txt")
"""Types of tables of cells with something between them."""
_NUL = "a NUL byte"
_MEBIBYTES = 16
_PACKED = {".bz2": "bz2", ".gz": "gzip", ".zst": "zstd"}
_MARKS = {  # in this order: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def kind_of(path: Path) -> str:
    """Tell the type of a file by its suffix in small letters, whether it is packed or not: ``.csv``."""
    return _unpacked(path).suffix.lower()


def stem_of(path: Path) -> str:
    """Name a file without its suffixes."""
    return _unpacked(path).stem


def open_bytes(path: Path) -> Any:
    """Open a file to read its bytes, unpacked."""
    packing = _PACKED.get(path.suffix.lower())
    if packing is None:
        return open(path, "rb")
    import pyarrow as pa

    return pa.input_stream(str(path), compression=packing)


def lines_about(path: Path) -> int:
    """Count the lines of a file; of a large packed one those of its beginning, and as many in the rest of it."""
    packing = _PACKED.get(path.suffix.lower())
    if packing is None:
        with open(path, "rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
    import pyarrow as pa

    lines = 0
    with pa.OSFile(str(path)) as raw, pa.CompressedInputStream(raw, packing) as stream:
        for _ in range(_MEBIBYTES):
            block = stream.read(2**20)
            if not block:
                return lines
            lines += block.count(b"\n")
        return round(lines * raw.size() / max(raw.tell(), 1))


def text_lines(path: Path, encoding: str | None = None) -> Iterator[str]:
    """Read the lines of a text file, their ends included; a byte order mark is no part of the first.

    Args:
        path: the file.
        encoding: how it is written; UTF-8 where None.

    Raises:
        InputError: a byte is no text in that encoding, named with its line; or what is packed is not whole.
    """
    try:
        with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding or "utf-8", newline="") as stream:
            for number, line in enumerate(stream):
                if number == 0:
                    line = line.removeprefix("\ufeff")
                    if encoding is None and "\0" in line:  # UTF-16 without its mark
                        raise UnicodeError
                yield line
    except UnicodeError:
        raise _no_text(path, encoding) from None
    except OSError as error:
        if path.suffix.lower() not in _PACKED:
            raise
        raise InputError(f"{path}: got damaged content ({error}), expected a whole {path.suffix} file") from None


def _unpacked(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def _no_text(path: Path, encoding: str | None) -> InputError:
    """Find the first byte that cannot be read, and say what may help."""
    with open_bytes(path) as raw:
        content = bytes(raw.read())
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    place, reason = 0, _NUL
    if marked is None and b"\0" in content.split(b"\n", 1)[0]:
        place = content.index(b"\0")
    else:
        try:
            content.decode(encoding or "utf-8")
        except UnicodeDecodeError as error:
            place, reason = error.start, error.reason
        except UnicodeError as error:
            reason = str(error)
    before = content[:place].decode(encoding or "utf-8", "replace")
    line, number = before.count("\n") + 1, place - content.rfind(b"\n", 0, place)
    if encoding is not None:
        advice = "set encoding to how it is written"
    elif marked or reason == _NUL:
        advice = f"set encoding to {marked or ('utf-16-le' if place % 2 else 'utf-16-be')}"
    else:
        advice = "set encoding to how it is written, such as latin-1"
    return InputError(
        f"{path}:{line}: got byte 0x{content[place]:02x}, number {number} of the line, which is no text ({reason}),"
        f" expected {encoding or 'UTF-8'}; {advice}"
    )
