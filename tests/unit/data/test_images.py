"""Images of samples: decoded whole, named where they cannot be, kept under names that tell their content."""

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tasks import by_id, prepared, refusal

from hyperinf.data.images import read_image
from hyperinf.data.samples import read_data_info
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
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "what is not a file"),
    "a pipe": (os.mkfifo, "what is not a file"),
    "empty": (
        lambda path: path.write_bytes(b""),
        "no image of a known kind (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)",
    ),
    "a page": (text, "no image of a known kind"),
    "a program for a printer": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "no image of a known"),
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


def task(train: int = 7, **more: Any) -> dict[str, Any]:
    """With 7 training samples every question is needed."""
    return {"format": "record", "template": "vqa", "train": train, "validation": 3, "test": 3, "seed": 5, **more}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_refused_with_its_question_its_file_and_the_reason(questions, tmp_path, kind):
    make, reason = BAD[kind]
    make(tmp_path / "bad.png")
    line = refusal(tmp_path / "task", questions, **task())
    assert line.startswith(f"sample bad: image {tmp_path}/bad.png: got {reason}")
    assert "skip_bad_images" in line


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "x" * 5_000])
def test_a_name_that_no_file_can_have_is_a_bad_image_too(questions, tmp_path, name):
    questions.write_text(questions.read_text().replace('"bad.png"', json.dumps(name)))
    line = refusal(tmp_path / "task", questions, **task())
    assert re.search(r"sample bad: image |jsonl:13: got (image .*expected the path of a file|JSON .*half a char)", line)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_passed_over_only_on_request_and_counted(questions, tmp_path, caplog, kind):
    BAD[kind][0](tmp_path / "bad.png")
    found = by_id(prepared(tmp_path / "task", questions, **task(6, skip_bad_images=True)))
    assert found.keys() == {f"k{i}" for i in range(12)}
    info = read_data_info(tmp_path / "task")
    assert (info["bad_images_skipped"], info["bad_images_first_ids"]) == (1, ["bad"])
    assert "1 samples passed over, whose images are missing or bad (bad)" in caplog.text


def test_where_too_few_images_are_good_training_gets_what_is_left(questions, tmp_path):
    splits = prepared(tmp_path / "task", questions, **task(skip_bad_images=True))
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [6, 3, 3]


def test_images_of_questions_that_are_not_drawn_are_not_looked_at(questions, tmp_path):
    for i in range(12):
        (tmp_path / f"{i}.png").unlink()
    Image.new("L", (3, 2)).save(tmp_path / "bad.png")
    assert re.match(r"sample k\d+: image .*: got no such file", refusal(tmp_path / "task", questions, **task()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_images_of_known_kinds_keep_their_bytes_under_their_kind_and_are_read_in_rgb(
    write_jsonl, write_png, tmp_path, kind
):
    rows = [{"id": f"k{i}", "question": "What?", "answer": "abcd"[i], "image": f"{i}.img"} for i in range(4)]
    for i in range(3):
        write_png(f"{i}.img", i)
    Image.new("RGB", (5, 4), (0, 0, 255)).save(tmp_path / "3.img", kind)
    image = by_id(prepared(tmp_path / "task", write_jsonl(rows), **task(2, validation=1, test=1)))["k3"].image
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    assert Path(image).suffix == f".{suffix}"
    assert (tmp_path / "task" / image).read_bytes() == (tmp_path / "3.img").read_bytes()
    read = read_image(tmp_path / "task", image)
    assert (read.mode, read.size) == ("RGB", (5, 4))
    pixel = read.getpixel((2, 2))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    assert red < 10
    assert green < 10
    assert blue > 245


def test_a_prepared_image_that_is_gone_or_damaged_is_named(tmp_path):
    with pytest.raises(InputError, match=r"images/x\.png: no such image"):
        read_image(tmp_path, "images/x.png")
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(InputError, match=r"x\.png: got no image of a known kind"):
        read_image(tmp_path, "x.png")


def test_copies_lie_in_the_prepared_folder_under_names_that_tell_their_content(questions, write_png, tmp_path):
    write_png("bad.png", 200)
    found = by_id(prepared(tmp_path / "task", questions, **task()))
    assert len(found) == 13
    for name, each in found.items():
        original = (tmp_path / f"{name.removeprefix('k')}.png").read_bytes()
        copy = tmp_path / "task" / each.image
        assert copy.read_bytes() == original
        assert hashlib.sha256(original).hexdigest().startswith(copy.stem)
    (tmp_path / "task" / found["bad"].image).write_bytes((tmp_path / "3.png").read_bytes())
    with pytest.raises(InputError, match="got another SHA-256"):
        read_image(tmp_path / "task", found["bad"].image)


def test_samples_about_copies_of_one_image_never_stand_in_two_splits(questions, write_png, tmp_path):
    write_png("bad.png", 200)
    rows = [json.loads(line) for line in questions.read_text().splitlines()]
    for i in range(12):
        copy = write_png(f"copy{i}.png", i)
        rows.append({**rows[i], "id": f"c{i}", "question": "And this?", "image": copy.name})
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    splits = prepared(tmp_path / "task", questions, **task(10))
    images = {split: {each.image for each in samples} for split, samples in splits.items()}
    assert not images["train"] & (images["validation"] | images["test"])
    assert not images["validation"] & images["test"]


def test_another_image_gives_another_hash_of_the_content_and_the_same_question_about_it_is_another(
    questions, write_png, tmp_path
):
    questions.write_text(re.sub(r"What is \w+\?", "What?", questions.read_text()))
    hashes = []
    for shade in (200, 200, 201):
        write_png("bad.png", shade)
        prepared(tmp_path / "task", questions, **task())
        info = read_data_info(tmp_path / "task")
        assert (info["duplicates_dropped"], info["contradictory_dropped"]) == (0, 0)
        hashes.append(info["content_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("image", ["../outside.png", "{tmp}/outside.png", "link.png"])
def test_images_outside_their_folder_are_refused(write_jsonl, write_png, tmp_path, image):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link.png").symlink_to(write_png("outside.png"))
    image = image.format(tmp=tmp_path)
    own = write_jsonl([{"id": "k", "question": "What?", "answer": "a", "image": image}], "mine/mine.jsonl")
    assert f"got image {image!r}, which is not below {own.parent}" in refusal(tmp_path / "task", own, **task())
