"""Images of questions: decoded whole, and named where they cannot be."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hyperinf.data.questions import (
    SPLITS,
    Question,
    QuestionTaskConfig,
    prepare_questions,
    read_image,
    read_questions,
    read_questions_info,
)
from hyperinf.data.sources import Source
from hyperinf.errors import InputError


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises a size, with hardly a pixel in it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b""))
    )


def photo(path: Path) -> bytes:
    """A JPEG of noise, large enough to be cut in its middle."""
    Image.effect_noise((64, 64), 80).save(path, "JPEG")
    return path.read_bytes()


def text(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


def cut(path: Path) -> None:
    content = photo(path)
    path.write_bytes(content[: len(content) // 2])


def damaged(path: Path) -> None:
    Image.effect_noise((64, 64), 80).save(path, "PNG")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


# What may stand in an image's place, and what is said of it.
BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "No such file"),
    "a folder": (lambda path: path.mkdir(), "Not a file"),
    "a pipe": (os.mkfifo, "Not a file"),
    "empty": (
        lambda path: path.write_bytes(b""),
        "not an image of a known kind (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)",
    ),
    "a page": (text, "not an image of a known kind"),
    "a program for a printer": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "not an image of a known"),
    "cut off": (cut, "a damaged image (image file is truncated"),
    "damaged": (damaged, "a damaged image ("),
    "large": (lambda path: path.write_bytes(png(10_000, 10_000)), "more than 89,478,485 pixels"),
    "huge": (lambda path: path.write_bytes(png(60_000, 60_000)), "more than 89,478,485 pixels"),
}


@pytest.fixture
def questions(tmp_path, write_jsonl, write_png):
    """Twelve questions with good images, k0 to k11, and one, bad, whose image is up to the test."""
    for i in range(12):
        write_png(f"{i}.png", i)
    names = [*((f"k{i}", f"{i}.png") for i in range(12)), ("bad", "bad.png")]
    return write_jsonl(
        [
            {"id": name, "question": f"What is {name}?", "answer": str(i), "image": image}
            for i, (name, image) in enumerate(names)
        ],
        "mine.jsonl",
    )


def task(file: Path, pool: int = 7, **more: Any) -> QuestionTaskConfig:
    """With a pool of 7 every question is needed."""
    return QuestionTaskConfig(
        Source("path", str(file)), "record", pool, 3, 3, seed=5, template="vqa", cache=file.parent / "cache", **more
    )


def everything(folder: Path) -> list[Question]:
    return [each for split in SPLITS for each in read_questions(folder, split)]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_refused_with_its_question_its_file_and_the_reason(questions, tmp_path, kind):
    make, reason = BAD[kind]
    make(tmp_path / "bad.png")
    with pytest.raises(InputError) as error:
        prepare_questions(task(questions), tmp_path / "task")
    line = str(error.value)
    assert line.startswith(f"question bad: image {tmp_path}/bad.png: {reason}")
    assert line.endswith("; mend it, or have such questions passed over (skip_bad_images)")
    assert "\n" not in line
    assert not (tmp_path / "task").exists()


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "x" * 5_000])
def test_a_name_that_no_file_can_have_is_a_bad_image_too(questions, tmp_path, name):
    questions.write_text(questions.read_text().replace('"bad.png"', json.dumps(name)))
    where = r"question bad: image |jsonl:13: (image .* is no path of a file|not JSON .*half a character)"
    with pytest.raises(InputError, match=where):
        prepare_questions(task(questions), tmp_path / "task")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_passed_over_only_on_request_and_counted(questions, tmp_path, caplog, kind):
    BAD[kind][0](tmp_path / "bad.png")
    prepare_questions(task(questions, pool=6, skip_bad_images=True), tmp_path / "task")
    assert sorted(each.sample_id for each in everything(tmp_path / "task")) == sorted(f"k{i}" for i in range(12))
    info = read_questions_info(tmp_path / "task")
    assert (info["bad_images_skipped"], info["bad_images_first_ids"]) == (1, ["bad"])
    assert "1 questions passed over, whose images are missing or bad (bad)" in caplog.text


def test_too_few_good_images_are_refused(questions, tmp_path):
    with pytest.raises(InputError, match="6 different samples for pool, but 7 are asked for"):
        prepare_questions(task(questions, skip_bad_images=True), tmp_path / "task")


def test_images_of_questions_that_are_not_drawn_are_not_looked_at(questions, tmp_path):
    for i in range(12):
        (tmp_path / f"{i}.png").unlink()
    Image.new("L", (3, 2)).save(tmp_path / "bad.png")
    with pytest.raises(InputError, match=r"question k\d+: image .*: No such file"):
        prepare_questions(task(questions), tmp_path / "task")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_images_of_known_kinds_keep_their_bytes_under_their_kind_and_are_read_in_rgb(
    write_jsonl, write_png, tmp_path, kind
):
    rows = [{"id": f"k{i}", "question": "What?", "answer": "abcd"[i], "image": f"{i}.img"} for i in range(4)]
    for i in range(3):
        write_png(f"{i}.img", i)
    Image.new("RGB", (5, 4), (0, 0, 255)).save(tmp_path / "3.img", kind)
    config = QuestionTaskConfig(
        Source("path", str(write_jsonl(rows))), "record", 2, 1, 1, seed=1, template="vqa", cache=tmp_path / "cache"
    )
    prepare_questions(config, tmp_path / "task")
    (image,) = [each.image for each in everything(tmp_path / "task") if each.sample_id == "k3"]
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    assert Path(image).suffix == f".{suffix}"
    assert (tmp_path / "task" / image).read_bytes() == (tmp_path / "3.img").read_bytes()
    read = read_image(tmp_path / "task", image)
    assert (read.mode, read.size) == ("RGB", (5, 4))
    red, green, blue = read.getpixel((2, 2))
    assert red < 10
    assert green < 10
    assert blue > 245


def test_a_prepared_image_that_is_gone_or_damaged_is_named(tmp_path):
    with pytest.raises(InputError, match=r"images/x\.png: no such image"):
        read_image(tmp_path, "images/x.png")
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(InputError, match=r"x\.png: not an image of a known kind"):
        read_image(tmp_path, "x.png")
