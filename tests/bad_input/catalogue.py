"""What is done wrong on the command line, and what the lines that answer it must say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spoiling import (
    Spoil,
    beside,
    both,
    changed,
    cut,
    edited,
    flipped,
    folder,
    model_of,
    overwritten,
    pickled,
    removed,
    swapped,
    written,
)


def _nothing(here: Path, world: Path) -> None:
    pass


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one command.

    Attributes:
        name: what is wrong.
        command: one of ``commands.COMMANDS``, or words that are none.
        flags: how its arguments differ from good ones; None drops one.
        lines: for each line, parts of it: the thing, and what was expected.
        spoil: makes the bad input.
        model: whether a model has to be loaded before the mistake can be seen, which takes its time.
    """

    name: str
    command: str
    flags: Mapping[str, str | None]
    lines: tuple[tuple[str, ...], ...]
    spoil: Spoil = _nothing
    model: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def _one(name: str, command: str, flags: Mapping[str, str | None], *parts: str, **more: Any) -> Wrong:
    """A mistake that is answered by one line with these parts."""
    return Wrong(name, command, flags, (parts,), **more)


def _file(name: str, command: str, content: str | bytes, *parts: str) -> Wrong:
    """A file of the user's own, named by the command, that is wrong."""
    file, _, what = name.partition(": ")
    return _one(f"{what or file} ({file})", command, {"--source": f"path:{{here}}/{file}"}, file, *parts,
        spoil=written(file, content))  # fmt: skip


def _set(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        value[keys[-1]] = to

    return change


PARQUET = {"--source": "path:{here}/words.parquet"}
SET = {"--source": "path:{here}/set"}
IMAGED = written(
    "mine.jsonl", "".join(f'{{"question": "Which {i}?", "answer": "cat", "image": "cat.png"}}\n' for i in range(30))
)
ASKED = {"--source": "path:{here}/mine.jsonl"}
LLAVA = {"--source": "path:{here}/mine.json", "--format": "llava", "--template": "vqa"}
LLAMA = {"--model": "path:{here}/llama"}
BERT = {"--model": "path:{here}/bert"}
MODEL = {"--model": "path:{here}/model"}
TUNED = {"--finetuned": "{here}/tuned"}
WARM = {"--finetuned": "{here}/warm"}
DATA = {"--data": "{here}/data"}
QUESTIONS = {"--data": "{here}/questions"}
FEW = {"--scores": "{here}/few/scores.parquet"}
STORE = {"--train": "{here}/store"}
TAKEN = {"--out": "{here}/taken"}
SHARDS = {"--parts": "{here}/statistics-1.safetensors {world}/statistics-2.safetensors"}
NOTES, FILE = written("taken/notes.txt", "mine"), written("taken", "mine")
# Weights from elsewhere, whose record does not say what the files were.
UNRECORDED = changed("tuned/info.json", lambda info: info.pop("outputs"))
CHANGED = "changed since it was written"

# fmt: off
COMMAND_LINES = [
    _one("an unknown command", "detects", {}, "'detects'", "expected one of", "did you mean detect?"),
    _one("an unknown command of a group", "simulate times", {}, "'times'", "timing"),
    _one("a group without a command", "simulate", {}, "got nothing", "expected"),
    _one("no command at all", "", {}, "got nothing", "expected"),
    _one("an unknown flag", "score-stores", {"--methodes": "9"}, "--methodes", "unknown flag", "--methods?"),
    Wrong("a flag cut short", "prepare", {"--label": None, "--labe": "label"},
        (("--labe:", "--label?"), ("--label:", "got nothing", "column"))),
    _one("a flag that only another command has", "detect", {"--rank": "9"}, "--rank", "unknown flag"),
    _one("a value too many", "detect", {"--out": "{here}/a {here}/b"}, "/b'", "no flag takes"),
    _one("a missing flag", "score-stores", {"--target": None}, "--target: got nothing", "target samples"),
    _one("a flag without its value", "score-stores", {"--out": ""}, "--out: got nothing", "path"),
    _one("a new line in a value", "score-stores", {"--gfim-scale": "'a\nb'"}, "--gfim-scale", "sum"),
    _one("missing words of a command of its own form", "assets fetch", {"": None}, "NAME: got nothing"),
    _one("a configuration that is not there", "score-stores", {"--config": "{here}/no.yaml"}, "no.yaml",
        "no such file"),
    _one("a configuration that is a folder", "score-stores", {"--config": "{here}"}, "directory", "YAML"),
    _one("a configuration that is no YAML", "score-stores", {"--config": "{here}/mine.yaml"}, "mine.yaml: line 2",
        "YAML",
        spoil=written("mine.yaml", "damping: 1\n\tmethods: [")),
    _one("a configuration that is a list", "score-stores", {"--config": "{here}/mine.yaml"}, "mine.yaml", "list", "KEY",
        spoil=written("mine.yaml", "[1]")),
    _one("a configuration that is no JSON", "score-stores", {"--config": "'{{'"}, "--config", "JSON"),
    _one("JSON without end", "score-stores", {"--config": f"'{{{{\"a\":{'[' * 100_000}'"}, "--config", "JSON", "deep"),
    Wrong("every mistake of a file and of flags", "score-stores",
        {"--config": "{here}/mine.yaml", "--damping": "nan", "--out": "{here}/taken", "--methods": None},
        (("mine.yaml: methods[1]", '"guess"', "datainf"), ("mine.yaml: lissa.iterations", "0", "at least 1"),
         ("mine.yaml: dampening", "unknown key", "damping?"), ("--damping", '"nan"', "above 0"),
         ("--out", "taken", "folder", "file to write")),
        spoil=both(folder("taken"),
            written("mine.yaml", "{methods: [tracin, guess], lissa: {iterations: 0}, damping: -1, dampening: 2}"))),
    Wrong("every number of a fine-tuning", "finetune",
        {"--rank": "0", "--alpha-over-rank": "inf", "--dropout": "1", "--epochs": "0", "--learning-rate": "nan",
         "--weight-decay": "nan", "--batch-size": "0", "--max-length": "1", "--threads": "0", "--seed": "-1",
         "--checkpoints": "1 1", "--warmup-ratio": "x"},
        (("--rank", '"0"', "at least 1"), ("--alpha-over-rank", '"inf"', "above 0"), ("--dropout", '"1"', "below 1"),
         ("--epochs", '"0"', "at least 1"), ("--learning-rate", '"nan"', "above 0"), ("--weight-decay", '"nan"'),
         ("--batch-size", '"0"', "at least 1"), ("--max-length", '"1"', "at least 2"), ("--threads", '"0"'),
         ("--seed", '"-1"', "at least 0"), ("--checkpoints", "more than once"), ("--warmup-ratio", '"x"', "number"))),
    Wrong("every name of a fine-tuning", "finetune",
        {"--device": "tpu", "--dtype": "int8", "--too-long": "cut", "--family": "classifer", "--trained": "bias",
         "--model": "words.csv", "--target-modules": ""},
        (("--device", '"tpu"', "cpu"), ("--dtype", '"int8"', "float32"), ("--too-long", '"cut"', "skip"),
         ("--family", "classifier?"), ("--trained", '"bias"', "lora"), ("--model", "'words.csv'", "path:NAME"),
         ("--target-modules", "an empty list"))),
    Wrong("every number of a draw", "prepare",
        {"--seed": "-1", "--train": "0", "--label-noise": "1.5", "--off-task": "nan", "--noise-mode": "all"},
        (("--seed", '"-1"'), ("--train", '"0"', "at least 1"), ("--label-noise", '"1.5"', "below 1"),
         ("--off-task", '"nan"'), ("--noise-mode", '"all"', "uniform, next"))),
    Wrong("every value of a score", "score",
        {"--seed": "99999999999999999999", "--gradient-batch-size": "0", "--baselines": "luck", "--damping": "0",
         "--methods": "guess", "--lissa.iterations": "0", "--hyperinf.solver": "magic", "--store": "cloud"},
        (("--seed", "99999999999999999999", "2^63"), ("--gradient-batch-size", '"0"'), ("--baselines", "grad_norm"),
         ("--damping", '"0"', "above 0"), ("--methods", '"guess"', "datainf"), ("--lissa.iterations", '"0"'),
         ("--hyperinf.solver", '"magic"', "cholesky"), ("--store", '"cloud"', "disk, memory, live"))),
    Wrong("every value of a selection", "select",
        {"--seed": "one", "--fraction": "1.01", "--strategies": "clever", "--max-steps": "0", "--batch-size": "0"},
        (("--seed", '"one"', "whole number"), ("--fraction", '"1.01"', "at most 1"), ("--strategies", "stratified"),
         ("--max-steps", '"0"'), ("--batch-size", '"0"'))),
    Wrong("every value of a timing", "simulate timing", {"--dims": "0", "--methods": "abacus", "--device": "tpu"},
        (("--dims", '"0"'), ("--methods", '"abacus"', "cholesky"), ("--device", '"tpu"', "cpu"))),
    _one("epochs and steps", "finetune", {"--max-steps": "3"}, "--max-steps", "one of the two"),
    _one("neither epochs nor steps", "finetune", {"--epochs": None}, "--max-steps", "neither"),
    _one("a checkpoint beyond the end", "finetune", {"--checkpoints": "1 4"}, "--checkpoints", "[1, 4]", "1 epochs"),
    _one("a part that the family lacks", "finetune", {"--trained": "projector"}, "--trained", "'projector'", "lora"),
    _one("CUDA where there is none", "finetune", {"--device": "cuda"}, "device", "'cuda'", "no CUDA",
        variables={"CUDA_VISIBLE_DEVICES": ""}),
    _one("an encoding that is none", "prepare", {"--encoding": "latin-1000"}, "--encoding", "'latin-1000'", "latin-1"),
    _one("a score over checkpoints without that at each", "score", {"--methods": "hyperinf tracin_cp"}, "--methods",
        "'tracin_cp'", "tracin at every checkpoint"),
    _one("a form that there is not", "score-stores", {"--methods": "hyperinf_cosine"}, "--methods", "_unit", "_cp"),
    _one("a score over checkpoints of stores", "score-stores", {"--methods": "tracin tracin_cp"}, "methods",
        "tracin_cp", "one checkpoint"),
    _one("a method that stores have lost the factors for", "score-stores", {"--methods": "ekfac"}, "ekfac", "positions",
        "model that is at hand"),
    _one("random selection, twice", "select", {"--baselines": "random"}, "--baselines", '"random"', "bm25"),
    _one("scores that are not given", "select", {"--scores": None}, "scores", "0.5"),
    _one("no side of the matrix", "simulate convergence", {"--dim": "0"}, "--dim", "at least 1", '"0"'),
    _one("an unknown asset", "assets fetch", {"": "minilmm"}, "'minilmm'", "minilm"),
    _one("a source of no kind", "prepare", {"--source": "words.csv"}, "--source", "'words.csv'", "path:NAME"),
    _one("a name that the hub cannot have", "prepare", {"--source": "hub:../../etc"}, '"../../etc"', "OWNER/NAME"),
    _one("an asset that is a model", "prepare", {"--source": "asset:minilm"}, "--source", '"minilm"', "sarcasm"),
    _one("a data set for a model", "finetune", {"--model": "asset:sarcasm"}, "--model", '"sarcasm"', "minilm"),
    _one("an unknown shape", "prepare-model", {"--source": "shape:llama_tini"}, "llama_tini",
        "did you mean llama_tiny?"),
    _one("an unknown format", "prepare, questions", {"--format": "vqav1"}, '"vqav1"', "record", "vqav2?"),
    _one("an unknown template", "prepare, questions", {"--template": "haiku"}, '"haiku"', "multiple_choice"),
    Wrong("columns of a form that has its own", "prepare, questions", {"--text": "a", "--label": "b"},
        (("--text", "'a'", "record"), ("--label", "'b'", "record"))),
    Wrong("columns that are missing or given twice", "prepare", {"--pair": "sentence", "--label": None},
        (("--label", "got nothing", "column"), ("--pair", "'sentence'", "another"))),
    _one("another set's share without the set", "prepare", {"--off-task": "0.5"}, "--off-task-data.source", "0.5"),
    _one("all harmed and more", "prepare", {"--label-noise": "0.6", "--off-task": "0.5"}, "--off-task:", "at most 0.4"),
    _one("a split that another set has the place of", "prepare", {
        "--splits.test": "exam", "--test-data.source": "path:{here}/x.csv", "--test-data.text": "a",
        "--test-data.label": "b"}, "--splits.test", "'exam'", "test_data"),
    Wrong("keys of another set without a source", "prepare", {"--off-task-data.format": "pope"},
        (("--off-task-data.source", "got nothing"),)),
    _one("a revision of a file", "prepare", {"--revision": "v1"}, "--revision", "'v1'", "hub"),
    _one("one of two that belong together", "score", {"--products": "{here}/p"}, "--parts", "got nothing",
        spoil=written("p", "")),
    _one("an experiment that is not there", "settings", {}, "mine.yaml", "no such file"),
    Wrong("an experiment with mistakes", "settings", {},
        (("device", '"gpu"', "cpu"), ("run[1]", "'llm'", "key of studies")),
        spoil=written("mine.yaml", "{device: gpu, run: [simulation, llm]}")),
]

OUTPUTS = [
    *(_one(f"{command}: a folder that is a file", command, TAKEN, "--out", "taken", "is a file", "folder", spoil=FILE)
        for command in ("prepare", "prepare-model", "finetune", "score", "detect", "select", "simulate fisher",
            "harness")),
    *(_one(f"{command}: a file that is a folder", command, TAKEN, "--out", "taken", "is a folder", "file",
        spoil=folder("taken"))
        for command in ("shard target", "shard add", "shard solve", "score-stores", "simulate convergence",
                        "simulate timing", "report page")),
    *(_one(f"{command}: a folder that holds something else", command, TAKEN, "taken", "notes.txt", "empty", spoil=NOTES)
        for command in ("prepare", "prepare-model", "finetune", "harness")),
    _one("a folder below a file", "prepare", {"--out": "{here}/taken/out"}, "--out", "taken/out", "below the file",
        spoil=FILE),
    _one("a file below a file", "shard add", {"--out": "{here}/taken/out"}, "--out", "below the file", spoil=FILE),
    _one("a state that is a file", "finetune", {"--state": "{here}/taken"}, "--state", "is a file", spoil=FILE),
    _one("a place in a file's settings", "prepare", {"--out": None, "--config": "{here}/mine.yaml"}, "mine.yaml: out",
        "is a file",
        spoil=both(FILE, written("mine.yaml", "out: taken"))),
    _one("a name longer than a file system takes", "prepare", {"--out": "{here}/" + "a" * 300}, "--out", "too long"),
    _one("an archive that is a folder", "crate", {"--out": "{here}/out.zip"}, "--out", "is a folder",
        spoil=folder("out.zip")),
    _one("a record below a file", "assets fetch", {"--record": "{here}/taken/r.json"}, "--record", "below the file",
        spoil=FILE),
]

TABLES = [
    _one("a table that is not there", "prepare", {"--source": "path:{here}/mine.csv"}, "mine.csv", "no such file"),
    _file("mine.xlsx", "prepare", "PK", "'.xlsx'", ".csv"),
    _file("mine.csv: empty", "prepare", "", "empty"),
    _file("mine.csv: without rows", "prepare", "sentence,label\n", "no row"),
    _file("mine.csv: without the column", "prepare", "text,label\na,1\n", "'sentence'", "text"),
    _file("mine.csv: a field too many", "prepare", "sentence,label\na,1\nb,0,x\n", ":3", "3 fields", "expected 2"),
    _file("mine.csv: an open quote", "prepare", 'sentence,label\n"a,1\nb,0\n'),
    _file("mine.csv: a column twice", "prepare", "sentence,label,label\na,1,1\n", ":1", "twice"),
    _file("mine.csv: Latin-1", "prepare", b"sentence,label\ncaf\xe9,1\n", ":2", "UTF-8", "0xe9, number 4",
        "encoding"),
    _file("mine.csv: UTF-16", "prepare", "sentence,label\na,1\n".encode("utf-16"), ":1", "0xff", "UTF-8", "utf-16"),
    _file("mine.tsv: UTF-16 without its mark", "prepare", "sentence\tlabel\na\t1\n".encode("utf-16-le"), ":1",
        "utf-16-le"),
    _one("mine.csv: not in the encoding that is named", "prepare",
        {"--source": "path:{here}/mine.csv", "--encoding": "ascii"}, "mine.csv:3", "0xc3", "ascii",
        spoil=written("mine.csv", "sentence,label\na,1\nö,0\n")),
    _one("an encoding of Parquet", "prepare", {**PARQUET, "--encoding": "latin-1"}, "words.parquet", "'latin-1'",
        spoil=swapped("words.parquet", "words.parquet")),
    _file("mine.csv: NUL bytes", "prepare", b"sentence,label\n\0\0\0,1\n"),
    _file("mine.csv: no header and long texts", "prepare", "".join("a" * 200_000 + f" {i},{i % 2}\n" for i in range(9)),
        "'sentence'", "characters"),
    _file("mine.csv: a row without a text", "prepare", "sentence,label\na,1\n,0\n", ":3", "'sentence'"),
    _one("mine.csv: a row without a label, where none may be", "prepare",
        {"--source": "path:{here}/mine.csv", "--strict": ""}, "mine.csv:2", "'label'", "strict",
        spoil=written("mine.csv", "sentence,label\nnothing,\n" + "".join(f"a{i},{i % 2}\n" for i in range(200)))),
    _file("mine.csv: two rows of a hundred without a label", "prepare",
        "sentence,label\na,\nb,\n" + "".join(f"a{i},{i % 2}\n" for i in range(98)), ":2", "'label'", "2 such", "100",
        "1%"),
    _file("mine.csv: labels that measure something", "prepare",
        "sentence,label\n" + "".join(f"a{i},{i % 968 / 968:.5f}\n" for i in range(5000)), "968", "'label'",
        "low and high"),
    _file("mine.csv: one class", "prepare", "sentence,label\na,1\nb,1\n", "'label'", "class"),
    _file("mine.csv: a label that is another number in every row", "prepare",
        "sentence,label\n" + "".join(f"a{i},{i}\n" for i in range(9)), "'label'", "class"),
    _one("mine.csv: an id twice", "prepare", {"--source": "path:{here}/mine.csv", "--id": "id"}, "mine.csv", "'7'",
        "unique",
        spoil=written("mine.csv", "id,sentence,label\n7,a,1\n7,b,0\n")),
    _file("mine.jsonl: no JSON", "prepare", '{"sentence": "a", "label": 1}\n{"sentence":\n', ":2", "JSON"),
    _file("mine.jsonl: nested without end", "prepare", "[" * 200_000 + "\n", ":1", "JSON"),
    _file("mine.jsonl: a number too long", "prepare", '{"sentence": "a", "label": ' + "9" * 5000 + "}\n", ":1", "JSON"),
    _file("mine.jsonl: lists", "prepare", '{"sentence": "a", "label": 1}\n[1]\n', ":2", "JSON object", "list"),
    _file("mine.jsonl: a number for a text", "prepare", '{"sentence": 5, "label": 1}\n', ":1", "'sentence'", "5"),
    _file("mine.jsonl: a label that is no class", "prepare", '{"sentence": "a", "label": [0.37]}\n', ":1", "0.37",
        "class"),
    _file("mine.json: a list that is cut off", "prepare", '[{"sentence": "a", "label": 1},\n{"sentence": ', ":2",
        "JSON"),
    _file("mine.json: an object that is no row", "prepare", '{"data": [1]}', ":1", "'sentence'", "data"),
    _file("mine.csv.gz: not packed", "prepare", "sentence,label\na,1\n", "whole .gz"),
    _file("mine.csv.zst: cut off", "prepare", bytes.fromhex("28b52ffd0458"), "whole .zst"),
    _file("mine.parquet.gz: packed twice", "prepare", b"\x1f\x8b", "unpacked"),
    _file("mine.jsonl: half a character", "prepare",
        "".join(f'{{"sentence": "\\ud800 {i}", "label": {i % 2}}}\n' for i in range(99)), "surrogate"),
    _file("words.parquet: text", "prepare", "sentence,label\n", "Parquet"),
    _one("Parquet that is cut off", "prepare", PARQUET, "words.parquet", "Parquet", spoil=cut("words.parquet", 0.7)),
    _one("Parquet with a damaged beginning", "prepare", PARQUET, "words.parquet", "Parquet",
        spoil=flipped("words.parquet", 0.01)),
    _one("Parquet without the column", "prepare", {**PARQUET, "--text": "body"}, "words.parquet", "'body'", "sentence",
        spoil=swapped("words.parquet", "words.parquet")),
    _file("mine.jsonl: no answer of the choices", "prepare, questions",
        '{"question": "Is it?", "choices": ["yes", "no"], "answer": "maybe"}\n', ":1", "'maybe'", "choices"),
    _file("mine.jsonl: choices that are text", "prepare, questions",
        '{"question": "Is it?", "choices": "yes", "answer": "yes"}\n', ":1", "'choices'", "list"),
    _file("mine.jsonl: no answer", "prepare, questions", '{"question": "Is it?"}\n', ":1", "'answer'"),
    *(_one(f"a document {name}", "prepare, questions", LLAVA, "mine.json", part, spoil=written("mine.json", content))
        for name, content, part in (("that is cut off", '[{"conversations": [', "JSON"), ("nested without end",
            "[" * 200_000, "JSON"),
            ("that is no conversation", '[{"conversations": 3}]', "conversation"))),
]

IMAGES = [
    _one("a template without a place for the image", "prepare, questions", {**ASKED, "--template": "completion"},
        "'completion'", "image", "vqa",
        spoil=both(written("mine.jsonl", "".join(
            f'{{"question": "Which {i}?", "answer": "{i % 2}", "image": "{i}.png"}}\n' for i in range(30))),
            *(written(f"{i}.png", b"P5 1 1 255\n" + bytes([i])) for i in range(30)))),
    _one("an image that is not there", "prepare, questions", ASKED, "cat.png", "no such file", spoil=IMAGED),
    *(_one(f"an image {name}", "prepare, questions", ASKED, "cat.png", part, spoil=both(IMAGED, spoil)) for name, part,
        spoil in (
        ("that is text", "PNG", written("cat.png", "meow")),
        ("that is cut off", "damaged", cut("cat.png", 0.5)),
        ("of a billion pixels", "pixels", written("cat.png", b"P5 40000 40000 255\n")),
        ("of floats that no white is known of", "greys from", written("cat.png", b"Pf\n1 1\n-1.0\n\x00\x00\x80\xbf")),
        ("that another program would be run on", "known kind",
            written("cat.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")),
        ("that is a folder", "not a file", folder("cat.png")))),
    _file("mine.jsonl: a list for an image", "prepare, questions",
        '{"question": "Which?", "answer": "cat", "image": ["cat.png"]}\n', ":1", "'image'", "path"),
    _file("mine.jsonl: an answer of a million characters", "prepare, questions",
        '{"question": "Which?", "choices": ["a", "b"], "answer": "' + "x" * 1_000_000 + '"}\n', ":1",
        "1,000,000 characters"),
    _one("a class a folder with one class", "prepare, questions", {**SET, "--format": "image_classes", "--template":
        None}, "set", "'label'", "two folders", spoil=written("set/cat/1.png", "meow")),
    _one("an image of its metadata that is not there", "prepare, questions", SET, "2.png", "no such file",
        spoil=both(written("set/1.png", "meow"), written("set/metadata.csv", "file_name,question,answer\n"
            + "".join(f"2.png,Which {i}?,a{i}\n" for i in range(40))))),
    _one("a folder of images that is not there", "prepare, questions", {"--images": "{here}/no"}, "no", "images"),
]

HUB_LAYOUTS = [
    _one("a folder without data", "prepare", SET, "set", "cannot be loaded", spoil=folder("set")),
    _one("a subset that is not there", "prepare", {**SET, "--subset": "cola"}, "set", "'cola'", "mrpc",
        spoil=written("set/mrpc/train.csv", "sentence,label\na,1\n")),
    _one("a folder without the column", "prepare", SET, "set", "'sentence'",
        spoil=written("set/train.csv", "text,label\na,1\nb,0\n")),
    _one("a folder whose Parquet is cut off", "prepare", SET, "set", "cannot be loaded",
        spoil=written("set/train.parquet", b"PAR1 PAR1")),
    _one("a folder without the split", "prepare", {**SET, "--splits.train": "dev"}, "set", "'dev'", "'train'",
        spoil=both(written("set/train.csv", "sentence,label\na,1\nb,0\n"), written("set/test.csv",
            "sentence,label\na,1\nb,0\n"))),
    _one("a folder that is a program", "prepare", SET, "set", "cannot be loaded",
        spoil=written("set/set.py", "open('ran', 'w')\n")),
    _one("a folder of JSON that is not JSON", "prepare", SET, "set/train.jsonl:1", "JSON",
        spoil=written("set/train.jsonl", "{nonsense\n")),
]

PREPARED = [
    _one("data that is not there", "finetune", {"--data": "{here}/nowhere"}, "nowhere", "no such file"),
    _one("data without its description", "finetune", DATA, "data/info.json", "no such file",
        spoil=removed("data/info.json")),
    _one("data whose description is a list", "finetune", DATA, "data/info.json", "prepare",
        spoil=overwritten("data/info.json", "[]")),
    _one("data without its hash", "finetune", DATA, "data/info.json", "content_sha256",
        spoil=changed("data/info.json", lambda info: info.pop("content_sha256"))),
    _one("a split that is not there", "finetune", DATA, "train.parquet", "no such file",
        spoil=removed("data/train.parquet")),
    _one("a split that is cut off", "finetune", DATA, "data/train.parquet", CHANGED, spoil=cut("data/train.parquet",
        0.5)),
    _one("a split of another kind", "finetune", DATA, "data/train.parquet", CHANGED,
        spoil=swapped("data/train.parquet", "questions/train.parquet")),
    _one("data with a bit flipped", "finetune", DATA, "validation.parquet", CHANGED,
        spoil=flipped("data/validation.parquet", 0.3)),
    _one("a description that was edited", "finetune, questions", QUESTIONS, "questions/info.json", CHANGED,
        spoil=edited("questions/info.json", '"seed": 1', '"seed": 3')),
    _one("a name that the harness would not take", "harness", {"--task": "../up"}, "task", "'../up'", "name"),
]

SCORES = [
    _one("scores of other samples", "select", {"--scores": "{world}/scores/scores.parquet"}, "scores.parquet",
        "other samples"),
    _one("scores that are not there", "select", {"--scores": "{here}/s.parquet"}, "s.parquet", "no such file"),
    _one("scores that are cut off", "select", FEW, "scores.parquet", "Parquet", spoil=cut("few/scores.parquet", 0.5)),
    _one("a baseline that was not scored", "select", {"--baselines": "bm25"}, "scores.parquet", "'bm25'",
        "baseline_bm25"),
    _one("earlier scores at the same checkpoint", "score",
        {"--methods": "tracin tracin_epochs", "--earlier": "{world}/scores"}, "earlier", "the checkpoints before"),
    _one("earlier scores that are none", "score", {"--methods": "tracin tracin_epochs", "--earlier": "{world}/data"},
        "data", "another run"),
    _one("earlier scores that are not there", "score", {"--methods": "tracin tracin_epochs", "--earlier": "{here}/no"},
        "--earlier", "no such file"),
    _one("LESS of a fine-tuning that kept no moments", "score", {"--methods": "tracin", "--baselines": "less"},
        "moments.safetensors", "keep_moments", model=True),
    _one("scores by another method", "select", {"--methods": "datainf"}, "scores.parquet", "'datainf'"),
    _one("scores of no sample id", "select", {"--scores": "{world}/words.parquet"}, "words.parquet", "sample_id"),
    _one("scores with a bit flipped", "select", FEW, "few/scores.parquet", CHANGED, spoil=flipped("few/scores.parquet",
        0.45)),
    _one("scores that are not there to be judged", "detect", {"--scores": "{here}/no"}, "--scores", "no such file"),
    _one("scores of another model", "detect", {"--scores": "{world}/few"}, "few", "another model", "tuned"),
    _one("a record that is not of scores", "detect", {"--scores": "{world}/data"}, "data/info.json", "score"),
    _one("scores with a bit flipped, to be judged", "detect", {"--scores": "{here}/scores"}, "scores.parquet", CHANGED,
        spoil=flipped("scores/scores.parquet", 0.45)),
]

MODELS = [
    _one("a model that is not there", "finetune", {"--model": "path:{here}/no"}, "no", "config.json"),
    _one("a model without its configuration", "finetune", BERT, "bert", "config.json",
        spoil=removed("bert/config.json")),
    _one("a shape without weights", "finetune", {"--model": "shape:llama_tiny"}, "shape:llama_tiny", "prepare-model"),
    *(_one(f"a model {name}", "finetune", BERT, "bert", part, spoil=spoil, model=True) for name, part, spoil in (
        ("without its tokenizer", "tokenizer", removed("bert/tokenizer.json", "bert/tokenizer_config.json")),
        ("whose weights are a pickle", "safetensors", pickled("bert/pytorch_model.bin", "bert/model.safetensors")),
        ("whose weights are cut off", "model", cut("bert/model.safetensors", 0.5)),
        ("whose weights have a damaged header", "model", flipped("bert/model.safetensors", 0.002)),
        ("whose configuration is not JSON", "config", overwritten("bert/config.json", "{")),
        ("whose configuration is a list", "config", overwritten("bert/config.json", "[]")),
        ("of an unknown architecture", "perceptron", changed("bert/config.json", _set("model_type", to="perceptron"))),
        ("of other sizes than its weights", "size", changed("bert/config.json", _set("hidden_size", to=32))))),
    _one("a language model whose weights are a pickle", "finetune, questions", LLAMA, "llama", "safetensors",
        spoil=pickled("llama/pytorch_model.bin", "llama/model.safetensors"), model=True),
    _one("a model to prepare whose weights are a pickle", "prepare-model", {"--source": "path:{here}/llama"}, "llama",
        "safetensors",
        spoil=pickled("llama/pytorch_model.bin", "llama/model.safetensors"), model=True),
    _one("a prepared model with a bit flipped", "finetune, questions", {"--model": "path:{here}/prepared"},
        "prepared/model.safetensors", CHANGED, spoil=flipped("prepared/model.safetensors", 0.9)),
    _one("an encoder for a language model", "finetune, questions", {"--model": "path:{world}/bert",
        "--target-modules": "query"},
        "bert", model=True),
    _one("layers that the model lacks", "finetune", {"--target-modules": "q_proj"}, "target_modules", "q_proj",
        "query", model=True),
    _one("more layers than the model has", "prepare-model", {"--layers": "7"}, "llama", "7", "1 to 2", model=True),
    *(_one(f"a GGUF file {name}", "prepare-model", {"--source": "path:{here}/m.gguf"}, "m.gguf", "cannot be loaded",
        spoil=written("m.gguf", content), model=True)
        for name, content in (("that is cut off", b"GGUF\x03\0\0\0"), ("that is text", "a model, honestly"))),
    _one("a GGUF file that is not there", "prepare-model", {"--source": "path:{here}/m.gguf"}, "m.gguf",
        "no such file"),
    _one("samples longer than allowed", "finetune, questions", {"--max-length": "4"}, "max_length", "4", model=True),
    *(_one(f"samples too long, {name}", "finetune, questions", {"--max-length": "12", "--too-long": how},
        "max_length", "12", "12 samples", model=True)
        for name, how in (("which are to be refused", "refuse"), ("of which none is left", "skip"))),
    *(_one(f"{name} for a language model", "finetune, questions", {**MODEL, "--target-modules": "query"},
        "model", kind, f"'{family}'", "causal language model", spoil=model_of("model", family, auto), model=True)
        for name, kind, family, auto in (("an encoder with its head", "encoder", "bert", "AutoModelForMaskedLM"),
            ("a sequence-to-sequence model", "sequence-to-sequence", "bart", "AutoModelForSeq2SeqLM"))),
    _one("a sequence-to-sequence model to prepare", "prepare-model", {"--source": "path:{here}/model"},
        "model", "'t5'", "causal language model", spoil=model_of("model", "t5", "AutoModelForSeq2SeqLM"), model=True),
    _one("a language model for a vision-language model", "finetune, questions", {"--family": "vision"},
        "llama", "'llama'", "vision-language model", model=True),
    _one("a language model to align", "align", {"--data": "{world}/questions", "--model": "path:{world}/llama",
        "--seed": "1",
        "--max-steps": "1", "--out": "{here}/out"}, "llama", "'llama'", "vision-language model", model=True),
    _one("a model of pictures for one of texts", "finetune", {"--model": "path:{here}/vit"}, "vit", "'vit'",
        "classifies texts",
        spoil=written("vit/config.json", '{"model_type": "vit"}'), model=True),
    *(_one(f"a classifier {name}", "finetune", MODEL, "model", *parts, model=True,
        spoil=model_of("model", "bert", "AutoModelForSequenceClassification", **sizes)) for name, parts, sizes in (
        ("of more labels than the data has", ("5 labels", "expected 2"), {"num_labels": 5}),
        ("of numbers", ("problem_type", "regression"), {"num_labels": 1, "problem_type": "regression"}))),
]

FINETUNED = [
    _one("a fine-tuning that is not there", "score", {"--finetuned": "{here}/no"}, "--finetuned", "no such file"),
    _one("a fine-tuning on other data", "score", {"--data": "{world}/other-data"}, "tuned", "other data"),
    _one("a checkpoint that is not there", "score", {"--checkpoint": "epoch-3"}, "checkpoint", "'epoch-3'", "epoch-1"),
    _one("prepared data for a fine-tuning", "score", {"--finetuned": "{world}/data"}, "data/info.json", "finetune"),
    _one("gradients of a part that was not trained", "score", {"--gradients-of": "projector"}, "projector", model=True),
    _one("a description without its settings", "score", TUNED, "tuned/info.json", "settings",
        spoil=changed("tuned/info.json", lambda info: info.pop("settings"))),
    _one("a description that is a list", "score", TUNED, "tuned/info.json", spoil=overwritten("tuned/info.json", "[]")),
    *(_one(f"weights {name}", "score", TUNED, "epoch-1", *parts, spoil=spoil, model=True) for name, parts, spoil in (
        ("that are missing", (), removed("tuned/epoch-1/adapter_model.safetensors")),
        ("that are a pickle", ("safetensors",),
            pickled("tuned/epoch-1/adapter_model.bin", "tuned/epoch-1/adapter_model.safetensors")),
        ("that are cut off", (), both(cut("tuned/epoch-1/adapter_model.safetensors", 0.5), UNRECORDED)),
        ("of another rank", (), both(changed("tuned/epoch-1/adapter_config.json", _set("r", to=4)), UNRECORDED)),
        ("of other layers", (),
            both(changed("tuned/epoch-1/adapter_config.json", _set("target_modules", to=["key"])), UNRECORDED)),
        ("of another model", (),
            both(swapped("tuned/epoch-1/adapter_model.safetensors", "warm/last/adapter_model.safetensors"),
                UNRECORDED)))),
    _one("weights with a bit flipped", "score", TUNED, "epoch-1/adapter_model.safetensors", CHANGED, "remove",
        spoil=flipped("tuned/epoch-1/adapter_model.safetensors", 0.9)),
    _one("losses that were edited", "score", TUNED, "training.csv", CHANGED, spoil=edited("tuned/training.csv",
        "epoch,", "epoch ,")),
    _one("language model weights of another rank", "score, questions", WARM, "warm", model=True,
        spoil=changed("warm/info.json", _set("settings", "rank", to=4))),
    _one("a text classifier to select for questions", "select", {"--finetuned": "{world}/tuned"}, "tuned",
        "other data"),
]

POOL = {"": "{here}/pool.jsonl"}
ANSWERED = '{"prompt": "a", "completion": "b"}\n'
POOLS = [
    _one("a pool that is not there", "select, a pool", POOL, "POOL", "pool.jsonl"),
    _one("a pool of no known kind", "select, a pool", {"": "{here}/pool.xlsx"}, "pool.xlsx", ".xlsx", ".parquet",
        spoil=written("pool.xlsx", b"x"), model=True),
    _one("a pool that is empty", "select, a pool", POOL, "pool.jsonl", "no rows", spoil=written("pool.jsonl", "\n"),
        model=True),
    _one("a line of a pool that is not JSON", "select, a pool", POOL, "pool.jsonl:2", "JSON", "column",
        spoil=written("pool.jsonl", f"{ANSWERED}{{"), model=True),
    Wrong("rows of a pool that are of no known form", "select, a pool", POOL,
        (("pool.jsonl:2", "narrator", "user"), ("pool.jsonl:3", "words", "messages"), ("2 of 3", "--skip-bad-rows")),
        written("pool.jsonl", f'{ANSWERED}{{"messages": [{{"role": "narrator", "content": "x"}}]}}\n{{"words": 1}}'),
        model=True),
    _one("rows with pictures for a language model", "select, a pool", POOL | {"--skip-bad-rows": ""}, "pool.jsonl",
        "--family vision", model=True,
        spoil=written("pool.jsonl", '{"question": "a", "answer": "b", "image": "c.png"}')),
    _one("more rows to keep than there are", "select, a pool", {"--keep": "31"}, "keep", "31", "30", model=True),
    _one("a share that is none", "select, a pool", {"--keep": "fifth"}, "--keep", "fifth", "20%"),
    _one("an output of no known kind", "select, a pool", {"--out": "{here}/kept.txt"}, "--out", "kept.txt", ".jsonl"),
    _one("a column to stratify by that no row has", "select, a pool", {"--stratified": "colour"}, "stratified",
        "colour", "length", model=True),
    _one("a template of no known kind", "select, a pool", {"--template": "{here}/mine.txt"}, "--template", ".jinja",
        spoil=written("mine.txt", "x")),
    _one("a template without an answer", "select, a pool", {"--template": "{here}/mine.yaml"}, "mine.yaml", "answer",
        spoil=written("mine.yaml", "prompt: '{question}'"), model=True),
    _one("an adapter that is none", "select, a pool", {"--adapter": "{here}"}, "adapter_config.json", "PEFT",
        model=True),
]

SCORED = [
    _one("rows to score that are not there", "score, rows", POOL, "TRAIN", "pool.jsonl"),
    _one("a target that is not there", "score, rows", {"--target": "{here}/dev.jsonl"}, "--target", "dev.jsonl"),
    _one("a line to score that is not JSON", "score, rows", POOL, "pool.jsonl:2", "JSON", "column",
        spoil=written("pool.jsonl", f"{ANSWERED}{{"), model=True),
    _one("a model without a head to score", "score, rows", {"--model": "{world}/bert", "--family": "classifier"},
        "bert", "weights", "classifier", model=True),
    _one("a model without an adapter or names of weights", "score, rows", {"--layers": None}, "layers", "--adapter",
        model=True),
    _one("a weight that the model lacks", "score, rows", {"--layers": "nowhere"}, "layers", "nowhere", model=True),
    _one("an adapter to score that is none", "score, rows", {"--adapter": "{here}"}, "adapter_config.json", "PEFT",
        model=True),
    _one("scores of no known kind", "score, rows", {"--out": "{here}/scores.xlsx"}, "--out", "scores.xlsx", ".csv"),
    _one("bits that no model has", "score, rows", {"--bits": "3"}, "--bits", "3", "4 or 8"),
]

VALIDATED = [
    _one("a bank with a bit flipped", "validate", {"--retrained": "{here}/bank"}, "losses.parquet", CHANGED,
        spoil=flipped("bank/losses.parquet", 0.5)),
    _one("a bank that is none", "validate", {"--retrained": "{world}/scores"}, "scores", "retrain"),
    _one("a bank that is not there", "validate", {"--retrained": "{here}/bank"}, "--retrained", "bank"),
    _one("scores to judge that are not there", "validate", {"--scores": "{here}/s.parquet"}, "--scores", "s.parquet"),
    _one("scores to judge of other samples", "validate", {"--scores": "{world}/few/scores.parquet"},
        "few/scores.parquet", "no row", "expected all"),
    _one("scores to judge without ids", "validate", {"--scores": "{world}/words.parquet"}, "words.parquet",
        "sample_id"),
    _one("scores to judge that are cut off", "validate", {"--scores": "{here}/few/scores.parquet"}, "scores.parquet",
        "Parquet", spoil=cut("few/scores.parquet", 0.5)),
    _one("a method left out that is not scored by", "validate", {"--removal.methods": "datainf"}, "removal",
        "'datainf'", "tracin"),
    _one("a subset of all samples", "retrain", {"--subset-fraction": "1"}, "--subset-fraction", "1"),
    _one("two subsets", "retrain", {"--subsets": "2"}, "--subsets", "2"),
    _one("a fine-tuning to do again on other data", "retrain", {"--data": "{world}/other-data"}, "tuned", "other data"),
    _one("rows to validate that are not there", "validate, rows", {"": "{here}/t.csv"}, "TRAIN", "t.csv"),
    _one("a target that is trained on", "validate, rows", {"--target": "{world}/words.csv"}, "--target", "words.csv"),
    _one("a column to validate by that is not there", "validate, rows", {"--label": "class"}, "words.csv", "'class'"),
    _one("text to validate without a label", "validate, rows", {"--label": None}, "--label", "nothing"),
    _one("questions to validate by no model", "validate, rows", {"--text": None, "--label": None, "--model": None},
        "--model", "language model"),
    _one("a model to validate that is not there", "validate, rows", {"--model": "{here}/none"}, "none"),
    _one("layers to validate that the model lacks", "validate, rows", {"--target-modules": "nowhere"}, "target_modules",
        "nowhere", "query", model=True),
]

SHARDED = [
    _one("a shard beyond the last", "shard statistics", {"--shard": "3"}, "shard", "3", "1 to 2"),
    _one("a shard's sums with a bit flipped", "shard add", SHARDS, "statistics-1.safetensors", CHANGED, "remove",
        spoil=flipped("statistics-1.safetensors", 0.9)),
    _one("a shard's header with a bit flipped", "shard add", SHARDS, "statistics-1.safetensors",
        spoil=flipped("statistics-1.safetensors", 0.02)),
    _one("a shard that is cut off", "shard add", SHARDS, "statistics-1.safetensors",
        spoil=cut("statistics-1.safetensors", 0.5)),
    _one("a shard that is missing", "shard add", {"--parts": "{world}/statistics-1.safetensors"}, "1", "2"),
    _one("a target that is none", "shard solve", {"--target": "{world}/statistics.safetensors"},
        "statistics.safetensors"),
]

STORES = [
    _one("a store that is not there", "score-stores", {"--train": "{here}/no"}, "--train", "no such file"),
    *(_one(f"a store {name}", "score-stores", STORE, *parts, spoil=spoil) for name, parts, spoil in (
        ("whose header is not JSON", ("store.json", "JSON"), overwritten("store/store.json", "{")),
        ("of another format", ("store.json", "hyperinf-gradients-1"),
            changed("store/store.json", _set("format", to="hyperinf-gradients-9"))),
        ("whose header lacks the shards", ("store.json", "header", "shards"),
            changed("store/store.json", lambda header: header.pop("shards"))),
        ("whose shard leads out", ("store.json", "../", "plain file name"),
            changed("store/store.json", _set("shards", 0, "file", to="../shard"))),
        ("whose shard is missing", ("shard-00000",), removed("store/shard-00000.safetensors")),
        ("whose shard is cut off", ("shard-00000",), cut("store/shard-00000.safetensors", 0.5)),
        ("with a bit flipped in a shard", ("shard-00000", "SHA-256"), flipped("store/shard-00000.safetensors", 0.9)),
        ("with a bit flipped in a shard's header", ("shard-00000",), flipped("store/shard-00000.safetensors", 0.05)),
        ("with another shard's bytes", ("shard-00000",),
            swapped("store/shard-00000.safetensors", "target/shard-00000.safetensors")))),
    _one("stores of other layers", "score-stores", {"--target": "{world}/other-layers"}, "'w'", "target"),
    _one("stores of other shapes", "score-stores", {"--target": "{world}/other-shape"}, "'w'", "2, 4"),
    _one("a store with gradients that are not numbers", "score-stores", {"--train": "{world}/nan"}, "'w'", "finite"),
    _one("a target with gradients that are not numbers", "score-stores", {"--target": "{world}/nan"}, "'w'", "finite"),
]

RESULTS = [
    _one("a curve that is not there", "report simulation", {"--convergence": "{here}/c.csv"}, "c.csv", "no such file"),
    _one("a curve that is another table", "report simulation", {"--convergence": "{world}/words.csv"}, "words.csv",
        "column"),
    _one("a curve that is not UTF-8", "report simulation", {"--convergence": "{here}/c.csv"}, "c.csv",
        spoil=written("c.csv", b"\xff\xfe\x00dim\n")),
    _one("Fisher matrices that are a pickle", "report simulation", {"--fisher": "{here}/f"}, "f/",
        spoil=both(written("f/fim.npy", b"\x80\x02]"), written("f/gfim.npy", b"\x80\x02]"), written("f/summary.csv",
            "a\n1\n"))),
    _one("a table of the simulation that was edited", "report simulation", {"--convergence": "{here}/convergence.csv"},
        "convergence.csv", CHANGED, spoil=both(beside("convergence.info.json"), edited("convergence.csv", "schulz",
            "Schulz"))),
    _one("results that are not there", "report page", {"--results": "{here}/no"}, "no"),
    _one("a result that is not there", "provenance", {"": "{here}/no.csv"}, "no.csv"),
    _one("a run that has not finished", "crate", {}, "settings.yaml", "run"),
]

ASSETS = [
    _one("a wheel that is cut off", "assets fetch", {"--wheels": "{here}/evals-3.0.1.post1-py3-none-any.whl"},
        "evals-3.0.1", "46,322,659", spoil=written("evals-3.0.1.post1-py3-none-any.whl", b"PK\x03\x04")),
    _one("a wheel of another content", "assets fetch", {"": "easy_vqa",
        "--wheels": "{here}/easy_vqa-1.0-py3-none-any.whl"},
        "easy_vqa-1.0", "fcb51b30", spoil=written("easy_vqa-1.0-py3-none-any.whl", b"\0" * 3_215_672)),
    _one("a wheel that is not there", "assets fetch", {"--wheels": "{here}/evals-3.0.1.post1-py3-none-any.whl"},
        "evals-3.0.1"),
    _one("a cache that is a file", "assets fetch", TAKEN | {"--out": None, "--cache": "{here}/taken"}, "taken",
        "cache", spoil=FILE),
]
# fmt: on

WORDS = "".join(f"w{row % 5} w{row % 7},{'low' if row % 2 else 'high'},{row % 2}\n" for row in range(40))


def _mislabeled(name: str, flags: Mapping[str, str | None], *parts: str, content: str = "", **more: Any) -> Wrong:
    spoil = written("mine.csv", f"sentence,label,sure\n{content or WORDS}")
    return _one(f"{name} (mislabeled)", "mislabeled", {"": "{here}/mine.csv", **flags}, *parts, spoil=spoil, **more)


MISLABELED = [
    _one("no such file (mislabeled)", "mislabeled", {"": "{here}/none.csv"}, "none.csv", "no such file"),
    _mislabeled("no text column", {"--text": None}, "--text", "column"),
    _one(
        "no label column (mislabeled)",
        "mislabeled",
        {"": "{here}/mine.csv", "--label": None},
        "--label",
        "Grade",
        spoil=written("mine.csv", "sentence,Grade\na b,x\n"),
    ),
    _mislabeled("another text column", {"--text": "text"}, "mine.csv", "'text'", "sentence"),
    _mislabeled("three text columns", {"--text": "sentence sure other"}, "--text"),
    _mislabeled("one column for both", {"--label": "sentence"}, "--label", "'sentence'"),
    _mislabeled("a truth that is not there", {"--truth": "true"}, "mine.csv", "'true'", "sure"),
    _mislabeled("the label as truth", {"--truth": "label"}, "--truth", "'label'"),
    _mislabeled("trusted is neither column nor file", {"--trusted": "certain"}, "--trusted", "'certain'", "sure"),
    _mislabeled("trusted column of words", {"--trusted": "label"}, "mine.csv", "row 1", "'high'", "yes or no"),
    _mislabeled("few rows", {}, "mine.csv", "2 rows", "20", content="a b,x,1\nc d,y,0\n"),
    _mislabeled(
        "one class", {}, "mine.csv", "'x'", "two or more", content="".join(f"w{row} a,x,1\n" for row in range(30))
    ),
    _mislabeled("a row too short", {}, "mine.csv:42", "2 fields", content=f"{WORDS}a,b\n"),
    _mislabeled("an unknown ranking", {"--ranking": "luck"}, "--ranking", "margin"),
    _mislabeled("one part", {"--folds": "1"}, "--folds", "2"),
    _mislabeled("no such model", {"--model": "./none"}, "path:./none", "folder", model=True),
    _mislabeled("images without a model", {"--image": "", "--text": None, "--label": None, "--model": None}, "--model"),
    _mislabeled("a foreign folder", {"--out": "{world}"}, "bank", "empty"),
]

CATALOGUE = [
    *MISLABELED,
    *(COMMAND_LINES + OUTPUTS + TABLES + IMAGES + HUB_LAYOUTS + PREPARED + SCORES + MODELS + FINETUNED),
    *(POOLS + SCORED + VALIDATED + SHARDED + STORES + RESULTS + ASSETS),
]
