import subprocess
import sys
from pathlib import Path

import pytest

from hyperinf.reporting import SimulationShape, expected, expected_page, expected_simulation
from hyperinf.reporting.labels import ordered_settings, setting_label
from hyperinf.reporting.manifest import caption_files, file_label
from hyperinf.reporting.register import PRIMARY_CLAIMS, SIMULATION, STUDY, VERDICTS_FIGURE

_ALL = (*STUDY, *SIMULATION, VERDICTS_FIGURE, PRIMARY_CLAIMS)
CAPTIONS = Path(__file__).parents[3] / "workflow/report"


def shown(entries, kind):
    return [entry.file for entry in entries if entry.kind == kind]


def test_a_study_that_only_finds_has_no_file_on_selection(shape):
    entries = expected(shape(fractions=(), checkpoints=["epoch-1", "epoch-3"]))
    assert shown(entries, "figure") == [
        f"figures/words_headlines_smol_{name}.png" for name in ("detection", "epochs", "cost")
    ]
    assert shown(entries, "table") == [f"tables/words_{name}.csv" for name in ("detection", "epochs", "cost")]
    assert shown(entries, "data") == ["tables/words.csv", "tables/words_sources.csv"]
    assert shown(entries, "claims") == ["tables/claims_words.csv"]
    assert entries[-1].files == ("tables/words_manifest.json",)


def test_a_study_that_only_selects_has_no_file_on_finding(shape):
    names = {entry.product.name for entry in expected(shape(detection=False))}
    assert {"accuracy", "details"} <= names
    assert not names & {"detection", "epochs", "settings", "kinds", "contact"}


def test_every_task_model_and_setting_has_its_figures_and_only_several_settings_are_compared(shape):
    entries = expected(shape(tasks=["b", "a"], models=["m/x"], settings=["lora-16", "lora-8"]))
    figures = [entry for entry in entries if entry.kind == "figure"]
    assert [entry.name for entry in figures][:5] == [
        "words_a_m-x_detection",
        "words_a_m-x_cost",
        "words_a_m-x_settings",
        "words_a_m-x_lora-8_accuracy",
        "words_a_m-x_lora-16_accuracy",
    ]
    assert len(figures) == 10
    assert figures[3].heading == "a, m/x, LoRA rank 8"
    assert figures[3].labels == {
        "kind": "figure",
        "name": "Accuracy against the fraction kept",
        "task": "a",
        "model": "m/x",
        "setting": "lora-8",
    }
    assert figures[3].category == "Words"


def test_images_are_shown_four_methods_at_a_time_and_told_apart_by_kind(shape):
    entries = expected(shape(has_images=True, methods=["tracin", "lissa", "hyperinf", "datainf", "gfim"]))
    sheets = [entry.name for entry in entries if entry.product.name == "contact"]
    assert sheets == ["words_headlines_smol_lora-8_contact", "words_headlines_smol_lora-8_contact-2"]
    assert "tables/words_kinds.csv" in shown(entries, "table")


def test_a_name_with_underscores_is_never_taken_apart(shape):
    entries = expected(shape(name="my_own_study", tasks=["easy_vqa"]))
    assert "figures/my_own_study_easy_vqa_smol_cost.png" in shown(entries, "figure")
    assert {entry.study for entry in entries} == {"my_own_study"}


def test_no_two_entries_have_a_file_in_common(shape):
    several = {"tasks": ["a", "b"], "settings": ["lora-8", "lora-16"], "has_images": True}
    for entries in (expected(shape(**several)), expected_simulation(), expected_page()):
        files = [file for entry in entries for file in entry.files]
        assert len(set(files)) == len(files)


def test_the_synthetic_study_has_what_was_run_of_it():
    names = [entry.name for entry in expected_simulation(SimulationShape(fisher=False))]
    assert "simulation_timing" in names
    assert "simulation_fisher" not in names
    assert [entry.file for entry in expected_page()] == [
        "figures/verdicts.png",
        "tables/claims_primary.csv",
        "tables/claims.csv",
    ]


def test_the_captions_of_snakemakes_report_are_in_step():
    """Make them again: python -c "from hyperinf.reporting import write_captions; write_captions('workflow/report')"."""
    assert {path.name: path.read_text() for path in CAPTIONS.glob("*.rst")} == caption_files()
    shape = {product.caption_name for product in _ALL if product.kind != "manifest"}
    assert {f"{name}.rst" for name in shape} <= set(caption_files())


def test_every_caption_has_a_title_and_tells_how_to_read():
    for product in _ALL:
        assert 3 < len(product.title) < 70
        assert product.text.endswith(".")


def test_what_is_expected_is_known_without_anything_heavy():
    code = (
        "import sys; from hyperinf.reporting.manifest import expected, expected_simulation\n"
        "expected_simulation()\n"
        "sys.exit(bool({'matplotlib', 'torch', 'pandas', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_builder_loads_torch():
    names = {product.builder.partition(":")[0] for product in _ALL if product.builder}
    imports = ", ".join(f"hyperinf.reporting.{name}" for name in sorted({*names, "page"}))
    code = f"import sys; import {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_file_labels_keep_plain_names_and_tame_others():
    assert file_label("easy_vqa-1.0") == "easy_vqa-1.0"
    assert file_label("owner/model name") == "owner-model-name"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lora-8", "LoRA rank 8"),
        ("last_layer", "last layer"),
        ("projector", "projector"),
        ("lora_projector-16", "LoRA rank 16 and projector"),
        ("lora_projector-8.of-last_layer", "LoRA rank 8 and projector, gradients of the last layer only"),
        ("lora_projector-8.of-lora", "LoRA rank 8 and projector, gradients of the LoRA adapter only"),
        ("projector.of-mine", "projector, gradients of the mine only"),
        ("mine-8", "mine-8"),
    ],
)
def test_a_setting_is_said_in_words(setting, words):
    assert setting_label(setting) == words


def test_settings_stand_by_rank_and_parts_after_the_whole():
    settings = ["lora-16", "lora-8.of-projector", "projector", "lora-8", "lora-8"]
    assert ordered_settings(settings) == ["lora-8", "lora-8.of-projector", "lora-16", "projector"]
