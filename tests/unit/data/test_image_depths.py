"""How images of other depths than 8 bits, and turned ones, are read; by sums worked out by hand."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tasks import prepared, refusal

from hyperinf.data.images import BadImageError, decode_image, read_image

RAMP = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
EIGHT = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey(content: bytes) -> np.ndarray:
    image = decode_image(content).image
    assert image.mode == "RGB"
    pixels = np.asarray(image)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_a_grey_of_16_bits_is_as_bright_as_it_was(kind):
    assert (grey(saved(Image.fromarray(RAMP), kind)) == EIGHT).all()


def test_a_dark_grey_of_16_bits_stays_dark():
    assert grey(saved(Image.fromarray(np.full((4, 4), 257, np.uint16)), "PNG")).max() == 1


def test_the_order_of_bytes_does_not_matter():
    header = b"MM\0*" + (8).to_bytes(4, "big")
    tags = [(256, 3, 16), (257, 3, 16), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8 + 2 + 9 * 12 + 4)]
    tags += [(277, 3, 1), (278, 3, 16), (279, 4, 512)]
    entries = b"".join(
        tag.to_bytes(2, "big")
        + kind.to_bytes(2, "big")
        + (1).to_bytes(4, "big")
        + value.to_bytes({3: 2, 4: 4}[kind], "big").ljust(4, b"\0")
        for tag, kind, value in tags
    )
    content = header + len(tags).to_bytes(2, "big") + entries + bytes(4) + RAMP.astype(">u2").tobytes()
    assert (grey(content) == EIGHT).all()


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), 1),
        (np.linspace(0, 0.5, 256, dtype=np.float32), 1),
        (np.zeros(256, np.float32), 1),
        (np.linspace(0, 255, 256, dtype=np.float32), 255),
        (np.linspace(0, 65_535, 256, dtype=np.float32), 65_535),
        (np.arange(256, dtype=np.int32), 255),
        (RAMP.astype(np.int32), 65_535),
    ],
)
def test_numbers_without_a_depth_are_read_on_the_least_usual_scale_that_holds_them(values, white):
    expected = np.round(values.astype(np.float64).reshape(16, 16) / white * 255)
    assert (grey(saved(Image.fromarray(values.reshape(16, 16)), "TIFF")) == expected).all()


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 1.5], [0.0, np.nan], [0.0, np.inf], [0.0, 1e6]])
def test_greys_whose_white_is_not_known_are_refused(values):
    with pytest.raises(BadImageError, match="greys from"):
        decode_image(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"))


def test_a_refused_depth_names_the_sample_and_may_be_passed_over(write_jsonl, write_png, tmp_path):
    for i in range(6):
        write_png(f"{i}.png", i)
    Image.fromarray(np.full((2, 2), -1, np.float32)).save(tmp_path / "5.png", "TIFF")
    rows = [{"id": f"k{i}", "question": "What?", "answer": f"a{i}", "image": f"{i}.png"} for i in range(6)]
    settings = {"format": "record", "template": "vqa", "validation": 1, "test": 1, "seed": 1}
    line = refusal(tmp_path / "task", write_jsonl(rows), train=4, **settings)
    assert line.startswith(f"sample k5: image {tmp_path}/5.png: got greys from -1 to -1")
    prepared(tmp_path / "task", write_jsonl(rows), train=3, skip_bad_images=True, **settings)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_data_say(kind, orientation):
    upright = Image.new("RGB", (32, 16), "black")
    upright.paste("white", (0, 0, 16, 8))
    # What a camera stores: the upright image, put the other way.
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_image(saved(stored, kind, exif=exif.tobytes() if kind != "TIFF" else exif)).image
    assert found.size == (32, 16)
    assert np.abs(np.asarray(found, float) - np.asarray(upright)).max() < 60


def test_exif_data_that_cannot_be_read_change_nothing():
    image = Image.new("RGB", (4, 2), "red")
    found = decode_image(saved(image, "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).image
    assert (np.asarray(found) == np.asarray(image)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_images_of_8_bits_are_read_as_pillow_reads_them(mode):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    content = saved(image, "TIFF" if mode == "CMYK" else "PNG")
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    assert (np.asarray(decode_image(content).image) == expected).all()


def test_a_prepared_image_is_read_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(Image.new("RGB", (4, 2)), "JPEG", exif=exif.tobytes())
    name = f"{hashlib.sha256(content).hexdigest()[:32]}.jpg"
    (tmp_path / name).write_bytes(content)
    assert read_image(tmp_path, name).size == (2, 4)
