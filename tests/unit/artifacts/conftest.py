import json
import shutil

import pytest

from hyperinf.cli import main

RUN = "mislabel/words/bert/lora-2/seed-1"


def experiment(base, bert):
    """What the workflow would have run to get there."""
    study = {
        "title": "Mislabel detection",
        "family": "classifier",
        "tasks": ["words"],
        "models": ["bert"],
        "seeds": [1],
        "adapter": {"ranks": [2]},
        "finetuning": {"epochs": 1},
        "scoring": {"methods": ["hyperinf"]},
    }
    return {
        "run": ["mislabel"],
        "models": {"bert": {"source": f"path:{bert}"}},
        "data": {"words": {"source": f"path:{base}/words.csv", "text": "sentence", "label": "label"}},
        "studies": {"mislabel": study},
    }


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, tiny_bert):
    """A small finished run of the commands themselves, from a table of one's own to the page."""
    from hyperinf.artifacts.files import write_json

    base = tmp_path_factory.mktemp("run")
    results, data = base / "results", base / "results/mislabel/words/data/seed-1"
    rows = [f"w{i % 5} w{i % 7} w{i % 11},{'low' if i % 2 else 'high'}" for i in range(0, 300, 3)]
    (base / "words.csv").write_text("\n".join(["sentence,label", *rows]) + "\n")
    flags = {"--source": f"path:{base}/words.csv", "--text": "sentence", "--label": "label", "--label-noise": 0.2}
    sizes = {"--train": 40, "--validation": 10, "--test": 20}
    tuned, scores, found = results / RUN / "finetuned", results / RUN / "scores/epoch-1", results / RUN / "detection"
    model = {"--model": f"path:{tiny_bert}", "--family": "classifier", "--rank": 2, "--epochs": 1, "--device": "cpu"}
    named = {"--study": "mislabel", "--task": "words", "--model-name": "bert", "--methods": "hyperinf"}
    table = results / "simulation/convergence/dim-8_seed-1.csv"
    solvers = {"--dim": 8, "--samples": 20, "--iterations": 3, "--methods": "schulz", "--device": "cpu"}
    shape = {
        "name": "mislabel",
        "title": "Mislabel detection",
        "family": "classifier",
        "tasks": ["words"],
        "models": ["bert"],
        "settings": ["lora-2"],
        "methods": ["hyperinf"],
        "checkpoints": ["epoch-1"],
    }
    for command, options in (
        ("prepare", {**flags, **sizes, "--seed": 1, "--out": data}),
        ("finetune", {"--data": data, **model, "--seed": 1, "--out": tuned}),
        ("score", {"--data": data, "--finetuned": tuned, **named, "--device": "cpu", "--seed": 1, "--out": scores}),
        ("detect", {"--finetuned": tuned, "--scores": scores, "--out": found}),
        ("simulate convergence", {**solvers, "--seed": 1, "--out": table}),
        ("report study", {"--config": json.dumps(shape), "--runs": results / RUN, "--out": results}),
        ("report simulation", {"--convergence": table, "--out": results}),
        ("report page", {"--results": results, "--out": results / "report.html"}),
    ):
        words = [str(word) for pair in options.items() for word in pair]
        assert main([*command.split(), *words]) == 0, command
    asset = {"name": "minilm", "distribution": "d", "version": "1", "wheel_sha256": "0" * 64}
    write_json(results / "assets/minilm.json", {**asset, "licence": "MIT", "origin": "o", "members": []})
    (results / "settings.yaml").write_text(json.dumps(experiment(base, tiny_bert)))
    return base


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(finished_run, tmp_path / "run") / "results"
