"""What is done wrong on the command line, and what the one line that answers it must say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spoiling import (
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
    """One mistake.

    Attributes:
        name: what is wrong.
        command: one of ``commands.COMMANDS``, or words that are none.
        flags: how its arguments differ from good ones; None drops one.
        says: parts of the message: the thing, and what was expected.
        spoil: makes the bad input.
        model: whether a model has to be loaded before the mistake can be seen, which takes its time.
    """

    name: str
    command: str
    flags: Mapping[str, str | None]
    says: tuple[str, ...]
    spoil: Callable[[Path, Path], None] = _nothing
    model: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def _set(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        value[keys[-1]] = to

    return change


CSV = {"--source": "path:{here}/mine.csv"}
JSONL = {"--source": "path:{here}/mine.jsonl"}
PARQUET = {"--source": "path:{here}/words.parquet"}
IMAGED = "".join(f'{{"question": "Which {i}?", "answer": "cat", "image": "cat.png"}}\n' for i in range(30))
LLAMA = {"--model": "path:{here}/llama"}
BERT = {"--model": "path:{here}/bert"}
ADAPTER = {"--adapter": "{here}/adapter"}
WARMUP = {"--weights": "{here}/warmup"}
STORE = {"--train": "{here}/store"}
# An adapter from elsewhere, whose record does not say what its files were.
UNRECORDED = changed("adapter/info.json", lambda info: info.pop("outputs"))
CHANGED = "changed since it was written"

COMMAND_LINES = [
    Wrong("an unknown command", "mislable", {}, ("'mislable'", "mislabel")),
    Wrong("an unknown command of a group", "mislabel train", {}, ("'train'", "finetune")),
    Wrong("a group without a command", "simulate", {}, ("convergence", "expected")),
    Wrong("no command at all", "", {}, ("expected", "mislabel")),
    Wrong("an unknown flag", "scores", {"--speed": "9"}, ("--speed",)),
    Wrong("a missing flag", "scores", {"--target": None}, ("--target", "required")),
    Wrong("a flag without its value", "scores", {"--out": ""}, ("--out", "expected one argument")),
    Wrong("text for a number", "mislabel data", {"--seed": "one"}, ("--seed", "'one'", "whole number")),
    Wrong("a value that is none of the choices", "scores", {"--solver": "magic"}, ("--solver", "'magic'", "cholesky")),
    Wrong("a new line in a value", "scores", {"--solver": "'a\nb'"}, ("--solver", "cholesky")),
    Wrong("an unknown method", "scores", {"--methods": "guess"}, ("methods", "'guess'", "datainf")),
    Wrong("an unknown baseline", "mislabel score", {"--baselines": "luck"}, ("baselines", "'luck'", "grad_norm")),
    Wrong("damping of 0", "scores", {"--damping": "0"}, ("damping", "positive", "0")),
    Wrong("damping that is not a number", "scores", {"--damping": "nan"}, ("damping", "positive", "nan")),
    Wrong("damping that is infinite", "mislabel score", {"--damping": "inf"}, ("damping", "positive", "inf")),
    Wrong(
        "no iteration of LiSSA",
        "scores",
        {"--methods": "lissa", "--lissa-iterations": "0"},
        ("iterations", "at least 1"),
    ),
    Wrong(
        "CUDA where there is none",
        "mislabel finetune",
        {"--device": "cuda"},
        ("device", "'cuda'", "no CUDA"),
        variables={"CUDA_VISIBLE_DEVICES": ""},
    ),
    Wrong("an unknown device", "mislabel finetune", {"--device": "tpu"}, ("device", "'tpu'", "cpu")),
    Wrong("an unknown device of a study", "simulate timing", {"--device": "tpu"}, ("device", "'tpu'", "cpu")),
    Wrong("no thread", "mislabel finetune", {"--threads": "0"}, ("threads", "at least 1", "0")),
    Wrong("rank 0", "mislabel finetune", {"--rank": "0"}, ("rank", "at least 1", "0")),
    Wrong("an infinite alpha", "mislabel finetune", {"--alpha": "inf"}, ("alpha", "finite", "inf")),
    Wrong("a dropout of 1", "mislabel finetune", {"--dropout": "1"}, ("dropout", "< 1", "1.0")),
    Wrong("epoch 0", "mislabel finetune", {"--epochs": "0 1"}, ("epochs", "at least 1")),
    Wrong("an epoch twice", "mislabel finetune", {"--epochs": "1 1"}, ("epochs", "distinct")),
    Wrong(
        "a learning rate that is not a number",
        "mislabel finetune",
        {"--learning-rate": "nan"},
        ("learning_rate", "positive", "nan"),
    ),
    Wrong(
        "a weight decay that is not a number",
        "mislabel finetune",
        {"--weight-decay": "nan"},
        ("weight_decay", "0 or more", "nan"),
    ),
    Wrong("an empty batch", "select warmup", {"--batch-size": "0"}, ("batch", "at least 1", "0")),
    Wrong("an empty batch of the scoring", "mislabel score", {"--batch-size": "0"}, ("batch", "at least 1", "0")),
    Wrong("an empty batch of the pool's scoring", "select score", {"--batch-size": "0"}, ("batch", "at least 1", "0")),
    Wrong("no step", "select warmup", {"--steps": "0"}, ("steps", "at least 1", "0")),
    Wrong("a length of one token", "select warmup", {"--max-length": "1"}, ("max_length", "at least 2", "1")),
    Wrong("a negative seed of the data", "mislabel data", {"--seed": "-1"}, ("seed", "-1", "0")),
    Wrong("a negative seed of a training", "mislabel finetune", {"--seed": "-1"}, ("seed", "-1", "0")),
    Wrong("a negative seed of a score", "mislabel score", {"--seed": "-1"}, ("seed", "-1", "0")),
    Wrong("a negative seed of a selection", "select finetune", {"--seed": "-1"}, ("seed", "-1", "0")),
    Wrong(
        "a seed that torch cannot take",
        "select warmup",
        {"--seed": "99999999999999999999"},
        ("seed", "99999999999999999999", "expected"),
    ),
    Wrong("no sample", "mislabel data", {"--train": "0"}, ("train", "0", "at least 1")),
    Wrong("more samples than there are", "mislabel data", {"--train": "4000"}, ("words.csv", "4,0")),
    Wrong("a share above 1", "mislabel data", {"--noise-rate": "1.5"}, ("noise rate", "1.5", "1")),
    Wrong("a share that is not a number", "mislabel data", {"--noise-rate": "nan"}, ("noise rate", "nan")),
    Wrong("101 percent", "select finetune", {"--percent": "101"}, ("percent", "1 to 100", "101")),
    Wrong(
        "an unknown strategy", "select finetune", {"--strategies": "clever"}, ("strategies", "'clever'", "stratified")
    ),
    Wrong("scores that are not given", "select finetune", {"--scores": None}, ("scores", "50 %")),
    Wrong("no side of the matrix", "simulate convergence", {"--dim": "0"}, ("dim", "at least 1", "0")),
    Wrong("an unknown solver", "simulate timing", {"--methods": "abacus"}, ("methods", "'abacus'", "cholesky")),
    Wrong("an unknown asset", "assets fetch", {"": "minilmm"}, ("'minilmm'", "minilm")),
    Wrong("a source of no kind", "mislabel data", {"--source": "words.csv"}, ("'words.csv'", "path:")),
    Wrong(
        "a name that the hub cannot have",
        "mislabel data",
        {"--source": "hub:../../etc"},
        ("'hub:../../etc'", "OWNER/NAME"),
    ),
    Wrong("an asset that is a model", "mislabel data", {"--source": "asset:minilm"}, ("asset:minilm", "sarcasm")),
    Wrong("an unknown format", "select data", {"--format": "squad"}, ("'squad'", "record")),
    Wrong("an unknown template", "select data", {"--template": "haiku"}, ("'haiku'", "multiple_choice")),
    Wrong("a share of another set that is not named", "select data", {"--off-task": "0.5"}, ("off_task", "0.5")),
]

OUTPUTS = [
    Wrong(
        "an output folder that is a file",
        "mislabel data",
        {"--out": "{here}/taken"},
        ("taken", "is a file"),
        written("taken", "mine"),
    ),
    Wrong(
        "an output folder that holds something else",
        "mislabel data",
        {"--out": "{here}/taken"},
        ("taken", "notes.txt", "empty folder"),
        written("taken/notes.txt", "mine"),
    ),
    Wrong(
        "an output folder below a file",
        "mislabel data",
        {"--out": "{here}/taken/out"},
        ("taken",),
        written("taken", "mine"),
    ),
    Wrong(
        "a trained model over something else",
        "mislabel finetune",
        {"--out": "{here}/taken"},
        ("taken", "notes.txt", "empty folder"),
        written("taken/notes.txt", "mine"),
    ),
    Wrong(
        "a warm-up over something else",
        "select warmup",
        {"--out": "{here}/taken"},
        ("taken", "notes.txt", "empty folder"),
        written("taken/notes.txt", "mine"),
    ),
    Wrong(
        "a model over something else",
        "model prepare",
        {"--out": "{here}/taken"},
        ("taken", "notes.txt", "empty folder"),
        written("taken/notes.txt", "mine"),
    ),
    Wrong(
        "scores into a file's place",
        "mislabel score",
        {"--out": "{here}/taken"},
        ("taken", "is a file"),
        written("taken", "mine"),
    ),
    Wrong("scores over a folder", "scores", {"--out": "{here}/taken"}, ("taken", "is a folder"), folder("taken")),
    Wrong(
        "a study over a folder", "simulate timing", {"--out": "{here}/taken"}, ("taken", "is a folder"), folder("taken")
    ),
    Wrong("a page over a folder", "report page", {"--out": "{here}/taken"}, ("taken", "is a folder"), folder("taken")),
    Wrong(
        "a selection's scores into a file's place",
        "select score",
        {"--out": "{here}/taken"},
        ("taken", "is a file"),
        written("taken", "mine"),
    ),
]

TABLES = [
    Wrong("a table that is not there", "mislabel data", CSV, ("mine.csv", "no such file")),
    Wrong(
        "a table of another type",
        "mislabel data",
        {"--source": "path:{here}/mine.xlsx"},
        ("mine.xlsx", ".csv"),
        written("mine.xlsx", "PK"),
    ),
    Wrong("an empty CSV file", "mislabel data", CSV, ("mine.csv", "empty"), written("mine.csv", "")),
    Wrong(
        "a CSV file without rows",
        "mislabel data",
        CSV,
        ("mine.csv", "no rows"),
        written("mine.csv", "sentence,label\n"),
    ),
    Wrong(
        "a CSV file without the column",
        "mislabel data",
        CSV,
        ("mine.csv", "'sentence'", "text"),
        written("mine.csv", "text,label\na,1\n"),
    ),
    Wrong(
        "a CSV row with a field too many",
        "mislabel data",
        CSV,
        ("mine.csv:3", "3 fields", "expected 2"),
        written("mine.csv", "sentence,label\na,1\nb,0,x\n"),
    ),
    Wrong(
        "a CSV file with an open quote",
        "mislabel data",
        CSV,
        ("mine.csv",),
        written("mine.csv", 'sentence,label\n"a,1\nb,0\n'),
    ),
    Wrong(
        "a CSV file with a column twice",
        "mislabel data",
        CSV,
        ("mine.csv:1", "twice"),
        written("mine.csv", "sentence,label,label\na,1,1\n"),
    ),
    Wrong(
        "a CSV file in Latin-1",
        "mislabel data",
        CSV,
        ("mine.csv", "UTF-8", "0xe9"),
        written("mine.csv", b"sentence,label\ncaf\xe9,1\n"),
    ),
    Wrong(
        "a CSV file with NUL bytes",
        "mislabel data",
        CSV,
        ("mine.csv",),
        written("mine.csv", b"sentence,label\n\0\0\0,1\n"),
    ),
    Wrong(
        "a CSV field larger than any text",
        "mislabel data",
        CSV,
        ("mine.csv:2", "131072"),
        written("mine.csv", "sentence,label\n" + "a" * 200_000 + ",1\n"),
    ),
    Wrong(
        "a CSV row without a text",
        "mislabel data",
        CSV,
        ("mine.csv:3", "no text", "'sentence'"),
        written("mine.csv", "sentence,label\na,1\n,0\n"),
    ),
    Wrong(
        "a table with one class",
        "mislabel data",
        CSV,
        ("mine.csv", "'label'", "one class"),
        written("mine.csv", "sentence,label\na,1\nb,1\n"),
    ),
    Wrong(
        "a table whose label is another number in every row",
        "mislabel data",
        CSV,
        ("mine.csv", "'label'", "a few classes"),
        written("mine.csv", "sentence,label\n" + "".join(f"a{i},{i}\n" for i in range(9))),
    ),
    Wrong(
        "a table with an id twice",
        "mislabel data",
        {**CSV, "--id": "id"},
        ("mine.csv", "'7'", "unique"),
        written("mine.csv", "id,sentence,label\n7,a,1\n7,b,0\n"),
    ),
    Wrong(
        "JSON lines that are not JSON",
        "mislabel data",
        JSONL,
        ("mine.jsonl:2", "not JSON"),
        written("mine.jsonl", '{"sentence": "a", "label": 1}\n{"sentence":\n'),
    ),
    Wrong(
        "JSON lines nested without end",
        "mislabel data",
        JSONL,
        ("mine.jsonl:1", "JSON"),
        written("mine.jsonl", "[" * 200_000 + "\n"),
    ),
    Wrong(
        "JSON lines with a number too long",
        "mislabel data",
        JSONL,
        ("mine.jsonl:1", "JSON"),
        written("mine.jsonl", '{"sentence": "a", "label": ' + "9" * 5000 + "}\n"),
    ),
    Wrong(
        "JSON lines that are lists",
        "mislabel data",
        JSONL,
        ("mine.jsonl:1", "JSON object", "list"),
        written("mine.jsonl", "[1]\n"),
    ),
    Wrong(
        "JSON lines with a number for a text",
        "mislabel data",
        JSONL,
        ("mine.jsonl:1", "'sentence'", "string"),
        written("mine.jsonl", '{"sentence": 5, "label": 1}\n'),
    ),
    Wrong(
        "JSON lines with a label that is no class",
        "mislabel data",
        JSONL,
        ("mine.jsonl:1", "0.37", "class"),
        written("mine.jsonl", '{"sentence": "a", "label": 0.37}\n'),
    ),
    Wrong(
        "JSON lines with half a character",
        "mislabel data",
        JSONL,
        ("mine.jsonl", "surrogate"),
        written("mine.jsonl", "".join(f'{{"sentence": "\\ud800 {i}", "label": {i % 2}}}\n' for i in range(99))),
    ),
    Wrong(
        "Parquet that is text",
        "mislabel data",
        PARQUET,
        ("words.parquet", "Parquet"),
        written("words.parquet", "sentence,label\n"),
    ),
    Wrong("Parquet that is cut off", "mislabel data", PARQUET, ("words.parquet", "Parquet"), cut("words.parquet", 0.7)),
    Wrong(
        "Parquet with a damaged beginning",
        "mislabel data",
        PARQUET,
        ("words.parquet", "Parquet"),
        flipped("words.parquet", 0.01),
    ),
    Wrong(
        "Parquet without the column",
        "mislabel data",
        {**PARQUET, "--text": "body"},
        ("words.parquet", "'body'", "sentence"),
        swapped("words.parquet", "words.parquet"),
    ),
    Wrong(
        "a question without an answer of its choices",
        "select data",
        JSONL,
        ("mine.jsonl:1", "'maybe'", "choices"),
        written("mine.jsonl", '{"question": "Is it?", "choices": ["yes", "no"], "answer": "maybe"}\n'),
    ),
    Wrong(
        "a question whose choices are text",
        "select data",
        JSONL,
        ("mine.jsonl:1", "'choices'", "list of strings"),
        written("mine.jsonl", '{"question": "Is it?", "choices": "yes", "answer": "yes"}\n'),
    ),
    Wrong(
        "questions without the column",
        "select data",
        JSONL,
        ("mine.jsonl:1", "'answer'"),
        written("mine.jsonl", '{"question": "Is it?"}\n'),
    ),
    Wrong(
        "a document of questions that is cut off",
        "select data",
        {"--source": "path:{here}/mine.json", "--format": "llava"},
        ("mine.json", "JSON"),
        written("mine.json", '[{"conversations": ['),
    ),
    Wrong(
        "a document of questions nested without end",
        "select data",
        {"--source": "path:{here}/mine.json", "--format": "llava"},
        ("mine.json", "JSON"),
        written("mine.json", "[" * 200_000),
    ),
    Wrong(
        "a document that is no conversation",
        "select data",
        {"--source": "path:{here}/mine.json", "--format": "llava"},
        ("mine.json", "conversation"),
        written("mine.json", '[{"conversations": 3}]'),
    ),
]

IMAGES = [
    Wrong(
        "an image that is not there", "select data", JSONL, ("cat.png", "No such file"), written("mine.jsonl", IMAGED)
    ),
    Wrong(
        "an image that is text",
        "select data",
        JSONL,
        ("cat.png", "PNG"),
        both(written("mine.jsonl", IMAGED), written("cat.png", "meow")),
    ),
    Wrong(
        "an image that is cut off",
        "select data",
        JSONL,
        ("cat.png", "damaged"),
        both(written("mine.jsonl", IMAGED), cut("cat.png", 0.5)),
    ),
    Wrong(
        "an image of a billion pixels",
        "select data",
        JSONL,
        ("cat.png", "pixels"),
        both(written("mine.jsonl", IMAGED), written("cat.png", b"P5 40000 40000 255\n")),
    ),
    Wrong(
        "an image that another program would be run on",
        "select data",
        JSONL,
        ("cat.png", "known kind"),
        both(written("mine.jsonl", IMAGED), written("cat.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")),
    ),
    Wrong(
        "an image that is a folder",
        "select data",
        JSONL,
        ("cat.png", "Not a file"),
        both(written("mine.jsonl", IMAGED), folder("cat.png")),
    ),
]

HUB_LAYOUTS = [
    Wrong(
        "a folder without data",
        "mislabel data",
        {"--source": "path:{here}/set"},
        ("set", "cannot be loaded"),
        folder("set"),
    ),
    Wrong(
        "a subset that is not there",
        "mislabel data",
        {"--source": "path:{here}/set", "--subset": "cola"},
        ("set", "'cola'", "mrpc"),
        written("set/mrpc/train.csv", "sentence,label\na,1\n"),
    ),
    Wrong(
        "a folder without the column",
        "mislabel data",
        {"--source": "path:{here}/set"},
        ("set", "'sentence'"),
        written("set/train.csv", "text,label\na,1\nb,0\n"),
    ),
    Wrong(
        "a folder whose Parquet is cut off",
        "mislabel data",
        {"--source": "path:{here}/set"},
        ("set", "cannot be loaded"),
        written("set/train.parquet", b"PAR1 PAR1"),
    ),
    Wrong(
        "a folder without the split",
        "mislabel data",
        {"--source": "path:{here}/set", "--split-train": "dev"},
        ("set", "'dev'", "'train'"),
        both(
            written("set/train.csv", "sentence,label\na,1\nb,0\n"),
            written("set/test.csv", "sentence,label\na,1\nb,0\n"),
        ),
    ),
    Wrong(
        "a folder that is a program",
        "mislabel data",
        {"--source": "path:{here}/set"},
        ("set", "cannot be loaded"),
        written("set/set.py", "open('ran', 'w')\n"),
    ),
    Wrong(
        "a folder of JSON that is not JSON",
        "mislabel data",
        {"--source": "path:{here}/set"},
        ("set", "cannot be loaded"),
        written("set/train.jsonl", "{nonsense\n"),
    ),
]

PREPARED = [
    Wrong("data that is not there", "mislabel finetune", {"--data": "{here}/nowhere"}, ("nowhere", "no such file")),
    Wrong(
        "data without its description",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/info.json", "no such file"),
        removed("data/info.json"),
    ),
    Wrong("data of another kind", "select warmup", {"--data": "{world}/data"}, ("data/info.json", "question task")),
    Wrong(
        "data whose description is a list",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/info.json", "text task"),
        overwritten("data/info.json", "[]"),
    ),
    Wrong(
        "data without its hash",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/info.json", "content_sha256"),
        changed("data/info.json", lambda info: info.pop("content_sha256")),
    ),
    Wrong(
        "questions without their hash",
        "select warmup",
        {"--data": "{here}/questions"},
        ("questions/info.json", "content_sha256"),
        changed("questions/info.json", lambda info: info.pop("content_sha256")),
    ),
    Wrong(
        "a split that is cut off",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/train.parquet", CHANGED),
        cut("data/train.parquet", 0.5),
    ),
    Wrong(
        "a split of another kind",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/train.parquet", CHANGED),
        swapped("data/train.parquet", "questions/pool.parquet"),
    ),
    Wrong(
        "questions that are cut off",
        "select warmup",
        {"--data": "{here}/questions"},
        ("questions/pool.parquet", CHANGED),
        cut("questions/pool.parquet", 0.5),
    ),
    Wrong(
        "scores of other samples",
        "select finetune",
        {"--scores": "{world}/scores/epoch-1.parquet"},
        ("epoch-1.parquet", "other samples"),
    ),
    Wrong(
        "scores that are not there", "select finetune", {"--scores": "{here}/s.parquet"}, ("s.parquet", "no such file")
    ),
    Wrong(
        "scores that are cut off",
        "select finetune",
        {"--scores": "{here}/pool-scores/scores.parquet"},
        ("scores.parquet", "Parquet"),
        cut("pool-scores/scores.parquet", 0.5),
    ),
    Wrong("scores by another method", "select finetune", {"--methods": "datainf"}, ("scores.parquet", "'datainf'")),
    Wrong(
        "scores of no sample id",
        "select finetune",
        {"--scores": "{world}/words.parquet"},
        ("words.parquet", "sample_id"),
    ),
]

MODELS = [
    Wrong("a model that is not there", "mislabel finetune", {"--model": "path:{here}/no"}, ("no", "config.json")),
    Wrong(
        "a model without its configuration",
        "mislabel finetune",
        BERT,
        ("bert", "config.json"),
        removed("bert/config.json"),
    ),
    Wrong(
        "a model without its tokenizer",
        "mislabel finetune",
        BERT,
        ("bert", "tokenizer"),
        removed("bert/tokenizer.json", "bert/tokenizer_config.json"),
        model=True,
    ),
    Wrong(
        "a model whose weights are a pickle",
        "mislabel finetune",
        BERT,
        ("bert", "safetensors"),
        pickled("bert/pytorch_model.bin", instead_of="bert/model.safetensors"),
        model=True,
    ),
    Wrong(
        "a language model whose weights are a pickle",
        "select warmup",
        LLAMA,
        ("llama", "safetensors"),
        pickled("llama/pytorch_model.bin", instead_of="llama/model.safetensors"),
        model=True,
    ),
    Wrong(
        "a model to prepare whose weights are a pickle",
        "model prepare",
        {"--source": "path:{here}/llama"},
        ("llama", "safetensors"),
        pickled("llama/pytorch_model.bin", instead_of="llama/model.safetensors"),
        model=True,
    ),
    Wrong(
        "a model whose weights are cut off",
        "mislabel finetune",
        BERT,
        ("bert", "model"),
        cut("bert/model.safetensors", 0.5),
        model=True,
    ),
    Wrong(
        "a model whose weights have a damaged header",
        "mislabel finetune",
        BERT,
        ("bert", "model"),
        flipped("bert/model.safetensors", 0.002),
        model=True,
    ),
    Wrong(
        "a model whose configuration is not JSON",
        "mislabel finetune",
        BERT,
        ("bert", "config"),
        overwritten("bert/config.json", "{"),
        model=True,
    ),
    Wrong(
        "a model whose configuration is a list",
        "mislabel finetune",
        BERT,
        ("bert", "config"),
        overwritten("bert/config.json", "[]"),
        model=True,
    ),
    Wrong(
        "a model of an unknown architecture",
        "mislabel finetune",
        BERT,
        ("bert", "perceptron"),
        changed("bert/config.json", _set("model_type", to="perceptron")),
        model=True,
    ),
    Wrong(
        "a model of other sizes than its weights",
        "mislabel finetune",
        BERT,
        ("bert", "size"),
        changed("bert/config.json", _set("hidden_size", to=32)),
        model=True,
    ),
    Wrong(
        "an encoder for a language model",
        "select warmup",
        {"--model": "path:{world}/bert", "--targets": "query"},
        ("bert",),
        model=True,
    ),
    Wrong(
        "targets that the model lacks",
        "mislabel finetune",
        {"--targets": "q_proj"},
        ("targets", "q_proj", "query"),
        model=True,
    ),
    Wrong("more layers than the model has", "model prepare", {"--layers": "7"}, ("llama", "7", "1 to 2"), model=True),
    Wrong(
        "a GGUF file that is cut off",
        "model prepare",
        {"--source": "path:{here}/m.gguf"},
        ("m.gguf", "cannot be loaded"),
        written("m.gguf", b"GGUF\x03\0\0\0"),
        model=True,
    ),
    Wrong(
        "a GGUF file that is text",
        "model prepare",
        {"--source": "path:{here}/m.gguf"},
        ("m.gguf", "cannot be loaded"),
        written("m.gguf", "a model, honestly"),
        model=True,
    ),
    Wrong(
        "a GGUF file that is not there", "model prepare", {"--source": "path:{here}/m.gguf"}, ("m.gguf", "no such file")
    ),
    Wrong("an unknown shape", "model prepare", {"--source": "shape:gpt9"}, ("gpt9", "llama_tiny"), model=True),
    Wrong(
        "a data set for a model", "mislabel finetune", {"--model": "asset:sarcasm"}, ("asset:sarcasm", "not a model")
    ),
    Wrong("samples longer than allowed", "select warmup", {"--max-length": "4"}, ("max_length", "4"), model=True),
    Wrong(
        "samples too long, which are to be refused",
        "select warmup",
        {"--max-length": "12", "--too-long": "refuse"},
        ("max_length", "12", "12 samples", "'questions/10' (33)"),
        model=True,
    ),
    Wrong(
        "samples too long, of which none is left",
        "select warmup",
        {"--max-length": "12", "--too-long": "skip"},
        ("max_length", "12", "12 samples"),
        model=True,
    ),
    Wrong("too long samples treated otherwise", "select warmup", {"--too-long": "cut"}, ("--too-long", "cut", "skip")),
    Wrong(
        "an encoder with its head for a language model",
        "select warmup",
        {"--model": "path:{here}/model", "--targets": "query"},
        ("model", "encoder", "'bert'", "causal language model"),
        model_of("model", "bert", "AutoModelForMaskedLM"),
        model=True,
    ),
    Wrong(
        "a sequence-to-sequence model for a language model",
        "select warmup",
        {"--model": "path:{here}/model"},
        ("model", "sequence-to-sequence", "'bart'", "causal language model"),
        model_of("model", "bart", "AutoModelForSeq2SeqLM"),
        model=True,
    ),
    Wrong(
        "a sequence-to-sequence model to prepare",
        "model prepare",
        {"--source": "path:{here}/model"},
        ("model", "'t5'", "causal language model"),
        model_of("model", "t5", "AutoModelForSeq2SeqLM"),
        model=True,
    ),
    Wrong(
        "a language model for a vision-language model",
        "select warmup",
        {"--family": "vision"},
        ("llama", "'llama'", "vision-language model"),
        model=True,
    ),
    Wrong(
        "a language model to align",
        "select align",
        {"--data": "{world}/questions", "--model": "path:{world}/llama", "--seed": "1", "--out": "{here}/out"},
        ("llama", "'llama'", "vision-language model"),
        model=True,
    ),
    Wrong(
        "a model of pictures for one of texts",
        "mislabel finetune",
        {"--model": "path:{here}/vit"},
        ("vit", "'vit'", "classifies texts"),
        written("vit/config.json", '{"model_type": "vit"}'),
        model=True,
    ),
    Wrong(
        "a classifier of more labels than the data has",
        "mislabel finetune",
        {"--model": "path:{here}/model"},
        ("model", "5 labels", "expected 2"),
        model_of("model", "bert", "AutoModelForSequenceClassification", num_labels=5),
        model=True,
    ),
    Wrong(
        "a model of numbers instead of classes",
        "mislabel finetune",
        {"--model": "path:{here}/model"},
        ("model", "problem_type", "regression"),
        model_of("model", "bert", "AutoModelForSequenceClassification", num_labels=1, problem_type="regression"),
        model=True,
    ),
]

ADAPTERS = [
    Wrong(
        "an adapter that is not there", "mislabel score", {"--adapter": "{here}/no"}, ("no/info.json", "no such file")
    ),
    Wrong("an adapter of other data", "mislabel score", {"--data": "{world}/other-data"}, ("adapter", "other data")),
    Wrong(
        "an adapter whose description lacks its settings",
        "mislabel score",
        ADAPTER,
        ("adapter/info.json", "settings"),
        changed("adapter/info.json", lambda info: info.pop("settings")),
    ),
    Wrong(
        "an adapter whose description is a list",
        "mislabel score",
        ADAPTER,
        ("adapter/info.json",),
        overwritten("adapter/info.json", "[]"),
    ),
    Wrong(
        "an adapter without its weights",
        "mislabel score",
        ADAPTER,
        ("epoch-1", "adapter"),
        removed("adapter/epoch-1/adapter_model.safetensors"),
    ),
    Wrong(
        "an adapter whose weights are a pickle",
        "mislabel score",
        ADAPTER,
        ("epoch-1", "safetensors"),
        pickled("adapter/epoch-1/adapter_model.bin", instead_of="adapter/epoch-1/adapter_model.safetensors"),
    ),
    Wrong(
        "an adapter whose weights are cut off",
        "mislabel score",
        ADAPTER,
        ("epoch-1", "adapter"),
        both(cut("adapter/epoch-1/adapter_model.safetensors", 0.5), UNRECORDED),
        model=True,
    ),
    Wrong(
        "an adapter of another rank",
        "mislabel score",
        ADAPTER,
        ("epoch-1", "adapter"),
        both(changed("adapter/epoch-1/adapter_config.json", _set("r", to=4)), UNRECORDED),
        model=True,
    ),
    Wrong(
        "an adapter of other layers",
        "mislabel score",
        ADAPTER,
        ("epoch-1",),
        both(changed("adapter/epoch-1/adapter_config.json", _set("target_modules", to=["key"])), UNRECORDED),
        model=True,
    ),
    Wrong(
        "an adapter of another model",
        "mislabel score",
        ADAPTER,
        ("epoch-1",),
        both(swapped("adapter/epoch-1/adapter_model.safetensors", "warmup/adapter_model.safetensors"), UNRECORDED),
        model=True,
    ),
    Wrong(
        "an adapter without its training's table",
        "mislabel score",
        ADAPTER,
        ("training.csv", "no such file"),
        removed("adapter/training.csv"),
    ),
    Wrong("a warm-up that is not there", "select score", {"--weights": "{here}/no"}, ("no/info.json", "no such file")),
    Wrong("a warm-up on other data", "select score", {"--data": "{world}/other-questions"}, ("warmup", "other data")),
    Wrong(
        "a warm-up whose description lacks its settings",
        "select score",
        WARMUP,
        ("warmup/info.json", "settings"),
        changed("warmup/info.json", lambda info: info.pop("settings")),
    ),
    Wrong(
        "a warm-up without its weights",
        "select score",
        WARMUP,
        ("warmup",),
        removed("warmup/adapter_model.safetensors"),
        model=True,
    ),
    Wrong(
        "a warm-up whose weights are a pickle",
        "select score",
        WARMUP,
        ("warmup", "safetensors"),
        pickled("warmup/adapter_model.bin", instead_of="warmup/adapter_model.safetensors"),
        model=True,
    ),
    Wrong(
        "a warm-up of another rank",
        "select score",
        WARMUP,
        ("warmup",),
        changed("warmup/info.json", _set("settings", "model", "lora", "rank", to=4)),
        model=True,
    ),
    Wrong("a warm-up of a text classifier", "select score", {"--weights": "{world}/adapter"}, ("adapter",)),
]

DAMAGED = [
    Wrong(
        "data with a bit flipped",
        "mislabel finetune",
        {"--data": "{here}/data"},
        ("data/validation.parquet", CHANGED),
        flipped("data/validation.parquet", 0.3),
    ),
    Wrong(
        "questions with a bit flipped",
        "select warmup",
        {"--data": "{here}/questions"},
        ("questions/pool.parquet", CHANGED),
        flipped("questions/pool.parquet", 0.3),
    ),
    Wrong(
        "a description that was edited",
        "select warmup",
        {"--data": "{here}/questions"},
        ("questions/info.json", CHANGED),
        edited("questions/info.json", '"seed": 1', '"seed": 3'),
    ),
    Wrong(
        "an adapter with a bit flipped",
        "mislabel score",
        ADAPTER,
        ("epoch-1/adapter_model.safetensors", CHANGED, "remove"),
        flipped("adapter/epoch-1/adapter_model.safetensors", 0.9),
    ),
    Wrong(
        "accuracies that were edited",
        "mislabel score",
        ADAPTER,
        ("training.csv", CHANGED),
        edited("adapter/training.csv", "epoch,", "epoch ,"),
    ),
    Wrong(
        "a warm-up with a bit flipped",
        "select score",
        WARMUP,
        ("warmup/adapter_model.safetensors", CHANGED),
        flipped("warmup/adapter_model.safetensors", 0.9),
    ),
    Wrong(
        "scores with a bit flipped",
        "select finetune",
        {"--scores": "{here}/pool-scores/scores.parquet"},
        ("pool-scores/scores.parquet", CHANGED),
        flipped("pool-scores/scores.parquet", 0.45),
    ),
    Wrong(
        "a prepared model with a bit flipped",
        "select warmup",
        {"--model": "path:{here}/prepared"},
        ("prepared/model.safetensors", CHANGED),
        flipped("prepared/model.safetensors", 0.9),
    ),
    Wrong("a shard beyond the last", "select shard-statistics", {"--shard": "3"}, ("shard", "1 to 2", "3")),
    Wrong(
        "a shard's sums with a bit flipped",
        "shards add",
        {"--parts": "{here}/statistics-1.safetensors {world}/statistics-2.safetensors"},
        ("statistics-1.safetensors", CHANGED, "remove"),
        flipped("statistics-1.safetensors", 0.9),
    ),
    Wrong(
        "a shard's header with a bit flipped",
        "shards add",
        {"--parts": "{here}/statistics-1.safetensors {world}/statistics-2.safetensors"},
        ("statistics-1.safetensors",),
        flipped("statistics-1.safetensors", 0.02),
    ),
    Wrong(
        "a shard that is cut off",
        "shards add",
        {"--parts": "{here}/statistics-1.safetensors {world}/statistics-2.safetensors"},
        ("statistics-1.safetensors", "not a part"),
        cut("statistics-1.safetensors", 0.5),
    ),
    Wrong(
        "a measured table that was edited",
        "report mislabel",
        {"--runs": "{here}/scores"},
        ("scores/metrics.csv", CHANGED),
        edited("scores/metrics.csv", "hyperinf", "Hyperinf"),
    ),
    Wrong(
        "a table of the simulation that was edited",
        "report simulation",
        {"--convergence": "{here}/convergence.csv"},
        ("convergence.csv", CHANGED),
        both(beside("convergence.info.json"), edited("convergence.csv", "schulz", "Schulz")),
    ),
]

STORES = [
    Wrong("a store that is not there", "scores", {"--train": "{here}/no"}, ("no/store.json", "no such file")),
    Wrong(
        "a store whose header is not JSON",
        "scores",
        STORE,
        ("store.json", "not a JSON file"),
        overwritten("store/store.json", "{"),
    ),
    Wrong(
        "a store of another format",
        "scores",
        STORE,
        ("store.json", "hyperinf-gradients-1"),
        changed("store/store.json", _set("format", to="hyperinf-gradients-9")),
    ),
    Wrong(
        "a store whose header lacks the shards",
        "scores",
        STORE,
        ("store.json", "header", "shards"),
        changed("store/store.json", lambda header: header.pop("shards")),
    ),
    Wrong(
        "a store whose shard leads out",
        "scores",
        STORE,
        ("store.json", "../", "plain file name"),
        changed("store/store.json", _set("shards", 0, "file", to="../shard")),
    ),
    Wrong(
        "a store whose shard is missing",
        "scores",
        STORE,
        ("shard-00000", "no file"),
        removed("store/shard-00000.safetensors"),
    ),
    Wrong(
        "a store whose shard is cut off",
        "scores",
        STORE,
        ("shard-00000", "truncated"),
        cut("store/shard-00000.safetensors", 0.5),
    ),
    Wrong(
        "a store with a bit flipped in a shard",
        "scores",
        STORE,
        ("shard-00000", "SHA-256"),
        flipped("store/shard-00000.safetensors", 0.9),
    ),
    Wrong(
        "a store with a bit flipped in a shard's header",
        "scores",
        STORE,
        ("shard-00000",),
        flipped("store/shard-00000.safetensors", 0.05),
    ),
    Wrong(
        "a store with another shard's bytes",
        "scores",
        STORE,
        ("shard-00000",),
        swapped("store/shard-00000.safetensors", "target/shard-00000.safetensors"),
    ),
    Wrong("stores of other layers", "scores", {"--target": "{world}/other-layers"}, ("target", "layer 'w'")),
    Wrong("stores of other shapes", "scores", {"--target": "{world}/other-shape"}, ("target", "layer 'w'", "(2, 4)")),
    Wrong("a store with gradients that are not numbers", "scores", {"--train": "{world}/nan"}, ("'w'", "finite")),
    Wrong("a target with gradients that are not numbers", "scores", {"--target": "{world}/nan"}, ("'w'", "finite")),
]

REPORTS = [
    Wrong(
        "a curve that is not there", "report simulation", {"--convergence": "{here}/c.csv"}, ("c.csv", "no such file")
    ),
    Wrong(
        "a curve that is another table",
        "report simulation",
        {"--convergence": "{world}/words.csv"},
        ("words.csv", "column"),
    ),
    Wrong(
        "a curve that is not UTF-8",
        "report simulation",
        {"--convergence": "{here}/c.csv"},
        ("c.csv",),
        written("c.csv", b"\xff\xfe\x00dim\n"),
    ),
    Wrong(
        "Fisher matrices that are a pickle",
        "report simulation",
        {"--fisher": "{here}/f"},
        ("f/",),
        both(
            written("f/fim.npy", b"\x80\x02]"), written("f/gfim.npy", b"\x80\x02]"), written("f/summary.csv", "a\n1\n")
        ),
    ),
    Wrong("a run that is not there", "report mislabel", {"--runs": "{here}/no"}, ("no",)),
    Wrong("a run without the epoch", "report mislabel", {"--epoch": "3"}, ("3", "epoch")),
    Wrong("an unknown study", "report selection", {"--study": "audio"}, ("--study", "'audio'", "llm")),
    Wrong("results that are not there", "report page", {"--results": "{here}/no"}, ("no",)),
]

ASSETS = [
    Wrong(
        "a wheel that is cut off",
        "assets fetch",
        {"--wheel": "{here}/evals-3.0.1.post1-py3-none-any.whl"},
        ("evals-3.0.1", "truncated", "46,322,659"),
        written("evals-3.0.1.post1-py3-none-any.whl", b"PK\x03\x04"),
    ),
    Wrong(
        "a wheel of another content",
        "assets fetch",
        {"": "easy_vqa", "--wheel": "{here}/easy_vqa-1.0-py3-none-any.whl"},
        ("easy_vqa-1.0", "sha256", "fcb51b30"),
        written("easy_vqa-1.0-py3-none-any.whl", b"\0" * 3_215_672),
    ),
    Wrong(
        "a wheel that is not there",
        "assets fetch",
        {"--wheel": "{here}/evals-3.0.1.post1-py3-none-any.whl"},
        ("evals-3.0.1", "no such wheel"),
    ),
    Wrong(
        "a cache that is a file",
        "assets fetch",
        {"--cache": "{here}/taken"},
        ("taken", "cache"),
        written("taken", "mine"),
    ),
]

INPUTS = [*TABLES, *IMAGES, *HUB_LAYOUTS, *PREPARED, *MODELS, *ADAPTERS, *DAMAGED, *STORES, *REPORTS, *ASSETS]
CATALOGUE = [*COMMAND_LINES, *OUTPUTS, *INPUTS]
