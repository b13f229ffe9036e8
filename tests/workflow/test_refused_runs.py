"""What a run would fail of is said before its first job, and what is advised works."""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from workspaces import SMOKE, Workspace, environment

from hyperinf.pipeline.preflight import objections
from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.yaml_files import merged, read_yaml

ENCODER = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "vocab_size": 60,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "vocab_size": 60,
}  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """An overlay, what the last line about it has in it, and an overlay that does as it says."""

    name: str
    overlay: str
    parts: tuple[str, ...]
    mended: str


MINE = "data: {{mine: {{source: 'path:{file}', text: {text}, label: label}}}}, studies: {{mislabel: {{tasks: [mine]}}}}"
OWN = "models: {{own: {{source: 'path:{folder}', target_modules: [{target}]}}}}"
REFUSED = (
    Refused(
        "an encoder as a language model",
        "{run: [llm], studies: {llm: {models: [minilm]}}}",
        ("studies.llm.models[0]", "'minilm'", "causal", "llama_tiny"),
        "{run: [llm], studies: {llm: {models: [llama_tiny]}}}",
    ),
    Refused(
        "a language model for pictures",
        "{run: [vlm], studies: {vlm: {models: [llama_tiny]}}}",
        ("studies.vlm.models[0]", "'llama_tiny'", "vision", "llava_tiny"),
        "{run: [vlm], studies: {vlm: {models: [llava_tiny]}}}",
    ),
    Refused(
        "an encoder of one's own as a language model",
        "{run: [llm], " + OWN.format(folder="encoder", target="query") + ", studies: {llm: {models: [own]}}}",
        ("studies.llm.models[0]", "encoder", "'bert'"),
        "{run: [mislabel], " + OWN.format(folder="encoder", target="query") + ", studies: {mislabel: {models: [own]}}}",
    ),
    Refused(
        "a projector of a model without one",
        "{run: [vlm], " + OWN.format(folder="llama", target="q_proj") + ", studies: {vlm: {models: [own], "
        "adapter: {trained: [lora_projector]}}}}",
        ("studies.vlm.models[0]", "lora_projector", "llama"),
        "{run: [llm], " + OWN.format(folder="llama", target="q_proj") + ", studies: {llm: {models: [own]}}}",
    ),
    Refused(
        "layers that a model has not",
        "{run: [llm], " + OWN.format(folder="llama", target="query") + ", studies: {llm: {models: [own]}}}",
        ("studies.llm.models[0]", "'query'", "q_proj"),
        "{run: [llm], " + OWN.format(folder="llama", target="q_proj") + ", studies: {llm: {models: [own]}}}",
    ),
    Refused(
        "layers that a known model has not",
        "{run: [llm], models: {llama_tiny: {target_modules: [query]}}}",
        ("models.llama_tiny.target_modules", "query", "q_proj"),
        "{run: [llm], models: {llama_tiny: {target_modules: [self_attn.q_proj]}}}",
    ),
    Refused(
        "gradients of a projector of a model without one",
        "{run: [llm], studies: {llm: {scoring: {gradients_of: [trained, projector]}}}}",
        ("studies.llm.scoring.gradients_of[1]", "'projector'", "causal"),
        "{run: [llm], studies: {llm: {scoring: {gradients_of: [trained, last_layer]}}}}",
    ),
    Refused(
        "gradients of an adapter where there is none",
        "{run: [llm], studies: {llm: {adapter: {trained: [lora, last_layer]}, scoring: {gradients_of: [lora]}}}}",
        ("studies.llm.scoring.gradients_of[0]", "'lora'", "last_layer"),
        "{run: [llm], studies: {llm: {adapter: {trained: [lora]}, scoring: {gradients_of: [lora]}}}}",
    ),
    Refused(
        "a column that is missing",
        "{run: [mislabel], " + MINE.format(file="mine.csv", text="txt") + "}",
        ("data.mine", "mine.csv", "'txt'", "text, label"),
        "{run: [mislabel], " + MINE.format(file="mine.csv", text="text") + "}",
    ),
    Refused(
        "a column that is missing in one of a folder of splits",
        "{run: [mislabel], " + MINE.format(file="split", text="text") + "}",
        ("data.mine", "test.tsv", "'label'"),
        "{run: [mislabel], " + MINE.format(file="mine.csv", text="text") + "}",
    ),
    Refused(
        "a file in an encoding that is not said",
        "{run: [mislabel], " + MINE.format(file="latin.csv", text="text") + "}",
        ("data.mine", "latin.csv", "encoding"),
        "{run: [mislabel], "
        + MINE.format(file="latin.csv", text="text").replace("label: label", "label: label, encoding: latin-1")
        + "}",
    ),
    Refused(
        "the format of another data set",
        "{run: [llm], data: {headlines: {format: logiqa}}}",
        ("data.headlines", "'logiqa'", "headlines"),
        "{run: [llm], data: {headlines: {format: headlines}}}",
    ),
    Refused(
        "a GPU by its number beside a launcher",
        "{device: 'cuda:1', launcher: profiles/accelerate/ddp.yaml}",
        ("device", "'cuda:1'", "launcher"),
        "{device: auto, launcher: profiles/accelerate/ddp.yaml}",
    ),
)


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_what_a_job_would_refuse_is_refused_before_the_first_one(refused: Refused, fresh: Workspace) -> None:
    (fresh.root / "mine.csv").write_text("text,label\na,b\n")
    (fresh.root / "latin.csv").write_text("text,label\ncafé,b\n", encoding="latin-1")
    (fresh.root / "split").mkdir()
    for name, second in (("train", "label"), ("test", "class")):
        (fresh.root / f"split/{name}.tsv").write_text(f"text\t{second}\na\tb\n")
    for name, config in (("encoder", ENCODER), ("llama", LLAMA)):
        (fresh.root / name).mkdir()
        (fresh.root / name / "config.json").write_text(json.dumps(config))
    printed = fresh.smoke(overlay=refused.overlay, check=False)
    line = printed.splitlines()[-1]
    assert all(part in line for part in refused.parts), printed
    assert not (fresh.root / "calls.jsonl").exists()
    (fresh.root / "overlay.yaml").write_text(refused.mended)
    with contextlib.chdir(fresh.root):
        experiment = checked_experiment(
            merged(*map(read_yaml, map(Path, ("config.yaml", SMOKE, "overlay.yaml")))), Path()
        )
        # What a run looks at before its first job, but for devices.
        assert [*objections(experiment)] == []
    if "launcher" in refused.mended:
        fresh.smoke("--until", "prepare", overlay=refused.mended)


TARGETS = {
    "a rule": (["prepair"], ["prepair", "did you mean prepare"]),
    "a file": (["results/smoke/reprot.html"], ["results/smoke/reprot.html"]),
    "a task": (["results/smoke/mislabel/nowhere/data/seed-11/info.json"], ["nowhere"]),
    "a model": (["results/smoke/aligned/minilm/model"], ["results/smoke/aligned/minilm/model"]),
    "a checkpoint": (
        ["results/smoke/mislabel/sarcasm/minilm/lora-8/seed-11/scores/epoch-9/scores.parquet"],
        ["epoch-9"],
    ),
    "a study without a selection": (
        ["results/smoke/mislabel/sarcasm/minilm/lora-8/seed-11/fraction-0.2/metrics.csv"],
        ["fraction-0.2"],
    ),
    "until": (["--until", "scor"], ["--until scor", "did you mean score"]),
    "omitted": (["--omit-from", "nothing"], ["--omit-from nothing"]),
    "forced": (["--forcerun", "detct"], ["--forcerun detct", "did you mean detect"]),
    "allowed": (["--allowed-rules", "detct", "--"], ["--allowed-rules detct"]),
}


@pytest.mark.parametrize("case", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("further", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_a_mistyped_target_is_one_line_that_names_it(
    pristine: Workspace, case: tuple[list[str], list[str]], further: list[str]
) -> None:
    words, parts = case
    printed = pristine.snakemake("--configfile", SMOKE, "--cores", "1", *further, *words, check=False)
    lines = printed.partition("nothing was started.\n")[2].splitlines()
    assert len(lines) == 1, printed
    assert all(part in lines[0] for part in parts)
    assert ".smk" not in printed


def test_a_rule_and_a_file_are_targets(done: Workspace) -> None:
    for target in ("report_page", "results/smoke/report.html", "./results/smoke/report.html"):
        assert "Nothing to be done" in done.smoke("--dry-run", target)


def test_a_run_from_another_folder_leaves_its_results_there(fresh: Workspace, tmp_path: Path) -> None:
    here = tmp_path / "elsewhere"
    here.mkdir()
    (here / "mine.yaml").write_text("run: [simulation]\n")
    (here / "mine.csv").write_text("text,label\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--until", "simulation_fisher"]
    for words, folder in (
        (["--directory", str(here), "--configfile", SMOKE, str(here / "mine.yaml")], fresh.root),
        (["--snakefile", str(fresh.root / "Snakefile"), "--configfile", str(fresh.root / SMOKE), "mine.yaml"], here),
    ):
        done = subprocess.run(
            [*command, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        made = here / "results/smoke/simulation/fisher/summary.csv"
        assert made.is_file()
        made.unlink()
    assert not (fresh.root / "results").exists()


def play_installed(root: Path) -> None:
    """Leave what an installation leaves, the stamp last, so that make installs nothing."""
    (root / ".venv/bin").mkdir(parents=True)
    for name in (
        ".venv/bin/python",
        "requirements.lock",
        "requirements-cu130.lock",
        "pyproject.toml",
        ".venv/.installed",
    ):
        (root / name).touch()


def test_a_report_is_one_of_the_last_run_and_computes_nothing(done: Workspace) -> None:
    calls = (done.root / "calls.jsonl").read_text()
    makefile = done.root / "Makefile"
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    makefile.write_text(text.replace("$(BIN)/python workflow", f"{sys.executable} workflow"))
    play_installed(done.root)
    made = subprocess.run(
        ["make", "report"], cwd=done.root, env=environment(), capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    page = (done.root / "results/snakemake-report.html").read_text()
    assert "llava_tiny" in page
    assert (done.root / "calls.jsonl").read_text() == calls


@pytest.mark.parametrize(
    ("words", "cores"), [(["-j8"], "8"), (["-j", "3"], "3"), ([], "all"), (["-j"], "all"), (["-j8", "CORES=2"], "2")]
)
def test_make_hands_its_number_of_jobs_on(tmp_path: Path, words: list[str], cores: str) -> None:
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(text.replace("$(BIN)/python workflow/run.py", "@echo"))
    play_installed(tmp_path)
    made = subprocess.run(
        ["make", "-s", *words, "run"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["--cores", cores]
