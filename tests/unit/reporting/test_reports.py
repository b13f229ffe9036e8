import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import (
    expected,
    expected_page,
    expected_simulation,
    report_page,
    report_simulation,
    report_study,
)

_SEARCH = "document.querySelector('#claims ~ details input')"
FINDS = {
    "name": "flips",
    "title": "Mislabel detection",
    "family": "classifier",
    "tasks": ["sarcasm"],
    "models": ["minilm"],
    "settings": ["lora-8"],
    "checkpoints": ["epoch-1", "epoch-3"],
    "fractions": (),
}
SELECTS: dict[str, Any] = {
    "name": "my_pictures",
    "title": "Pictures",
    "family": "vision",
    "tasks": ["shapes"],
    "models": ["llava"],
    "settings": ["last_layer", "last_layer.of-projector"],
    "detection": False,
    "fractions": [0.4],
    "has_images": True,
}


def files_of(entries):
    return sorted(file for entry in entries for file in entry.files)


def relative(files, out):
    return sorted(file.relative_to(out).as_posix() for file in files)


def hashes(files):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def reported(tmp_path_factory, build):
    """A results folder with three reports in it, made once: drawing is what takes the time."""
    root = tmp_path_factory.mktemp("results")
    files = build.convergence(root)(samples=(200,))
    made = {"simulation": report_simulation(files, build.fisher(root), build.timing(root), root)}
    make = build.run(root)
    names = {"study": "flips", "task": "sarcasm", "model": "minilm"}
    found = {"hyperinf": 0.8, "datainf": 0.7, "loss": 0.75}
    runs = [make(seed, found=found, checkpoints=FINDS["checkpoints"], names=names, note="") for seed in (11, 12)]
    record = '{"device": "cpu", "note": "<script>alert(1)</script>"}'
    (runs[0] / "scores/epoch-3/info.json").write_text(record)
    made["flips"] = report_study(build.shape(**FINDS), runs, root)
    # One seed, one fraction, one strategy, nothing corrupted, no references, nothing to say of the model.
    settings = [
        {"study": "my_pictures", "task": "shapes", "model": "llava", "setting": each} for each in SELECTS["settings"]
    ]
    plain = {"fractions": (0.4,), "strategies": ("stratified",), "clean": False, "note": "", "kinds": {"colour": 0.1}}
    accuracy = {"hyperinf": 0.63, "datainf": 0.6, "random": 0.5}
    pictures = ("hyperinf", "datainf")
    own = [make(11, accuracy, names=each, pictures=pictures, **plain) for each in settings]
    made["my_pictures"] = report_study(build.shape(**SELECTS), own, root)
    return {"root": root, "runs": runs, **made}


@pytest.fixture
def results(reported, tmp_path):
    return Path(shutil.copytree(reported["root"], tmp_path / "results"))


@pytest.fixture
def page(results):
    report_page(results, results / "report.html")
    return (results / "report.html").read_text()


def test_reports_write_what_they_declare(reported, shape):
    root = reported["root"]
    assert relative(reported["simulation"], root) == files_of(expected_simulation())
    assert relative(reported["flips"], root) == files_of(expected(shape(**FINDS)))
    assert relative(reported["my_pictures"], root) == files_of(expected(shape(**SELECTS)))


def test_a_report_of_part_of_the_synthetic_study_writes_what_it_declares(convergence_files, tmp_path):
    written = report_simulation(convergence_files(dims=(512,), samples=(200,)), None, None, tmp_path / "out")
    assert not [file for file in written if "fisher" in file.name or "timing" in file.name]
    assert (tmp_path / "out/tables/simulation_manifest.json") in written


@pytest.mark.parametrize("finds", [True, False])
def test_a_study_without_a_number_has_all_its_files(run_folder, shape, tmp_path, finds):
    run = run_folder(found={"hyperinf": 0.8}, checkpoints=FINDS["checkpoints"])
    if finds:  # what detection writes where nothing was harmed
        for file, kept in (("metrics", ["model"]), ("curves", [])):
            path = run / f"detection/{file}.csv"
            table = pd.read_csv(path)
            table[table["method"].isin(kept)].to_csv(path, index=False)
    study = shape(fractions=(), detection=finds, checkpoints=FINDS["checkpoints"])
    written = report_study(study, [run], tmp_path / "out")
    assert relative(written, tmp_path / "out") == files_of(expected(study))
    report_page(tmp_path / "out", tmp_path / "out/report.html")


def test_the_order_in_which_runs_are_given_changes_no_byte(reported, shape):
    before = hashes(reported["flips"])
    assert hashes(report_study(shape(**FINDS), list(reversed(reported["runs"])), reported["root"])) == before


def test_the_manifest_says_what_was_made_by_which_rule_with_which_caption(reported):
    manifest = json.loads((reported["root"] / "tables/my_pictures_manifest.json").read_text())
    assert (manifest["rule"], manifest["title"]) == ("report_my_pictures", "Pictures")
    by_name = {(entry["kind"], entry["name"]): entry for entry in manifest["entries"]}
    sheet = by_name["figure", "my_pictures_shapes_llava_last_layer_contact"]
    assert sheet["caption"] == "figure_contact"
    assert sheet["heading"] == "shapes, llava, last layer"
    printed = by_name["table", "my_pictures_accuracy"]["printed"]
    assert printed[0]["rows"][0][2] == {"text": "0.630 (n/a)", "bold": False}


def test_sources_name_every_file_that_went_in_with_its_hash(reported):
    root = reported["root"]
    sources = pd.read_csv(root / "tables/flips_sources.csv")
    hashed = sources[sources["sha256"].notna()]
    assert set(hashed["file"].str.rpartition("/")[2]) == {"metrics.csv", "curves.csv"}
    for row in hashed.itertuples():
        assert hashlib.sha256((root / row.file).read_bytes()).hexdigest() == row.sha256
    assert list(sources.columns) == ["task", "model", "setting", "seed", "file", "sha256"]


def test_the_page_is_one_file_with_nothing_from_outside(results):
    written = report_page(results, results / "report.html")
    assert relative(written, results) == sorted(["report.html", *files_of(expected_page())])
    html = (results / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:image/webp;base64,", "#")) for source in sources)
    assert not [word for word in ("http://", "https://", "@import") if word in html]


def test_the_page_is_the_same_twice_and_escapes_what_it_shows(results, page):
    report_page(results, results / "b.html")
    assert (results / "b.html").read_text() == page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_has_a_section_for_each_study_and_shows_all_of_it(page):
    assert re.findall(r'<h2 id="study-([a-z_]+)">([^<]*)<', page) == [
        ("simulation", "Synthetic study"),
        ("flips", "Mislabel detection"),
        ("my_pictures", "Pictures"),
    ]
    assert page.count('<img src="data:image/webp;base64,') == 5 + 3 + 2 + 2 * 2
    for shown in (
        "After epoch 3 HyperINF&#39;s ROC-AUC is 0.800 (2 seeds): above DataInf (by 0.100), own loss (by 0.050).",
        "HyperINF, published start reached a relative error of 0.001 on all 2 (d, N) in 22 iterations",
        "40 % kept: 0.630 (one seed in common",
        "<summary>Settings side by side</summary>",
        "<summary>Accuracy by kind of question</summary>",
        'id="my_pictures_shapes_llava_last_layer.of-projector_contact"',
        "last layer, gradients of the projector only",
        "<h3>Scoring</h3>",
        "Nothing of the studies that were reported",
    ):
        assert shown in page


def test_the_page_shows_the_studies_asked_for_in_their_order(results):
    report_page(results, results / "report.html", ("my_pictures", "simulation"))
    html = (results / "report.html").read_text()
    assert re.findall(r'<h2 id="study-([a-z_]+)"', html) == ["my_pictures", "simulation"]
    assert "flips" not in html


def test_the_ledger_of_the_page_holds_the_claims_of_all_studies(results, page):
    claims = pd.read_csv(results / "tables/claims.csv")
    parts = [pd.read_csv(results / f"tables/claims_{name}.csv") for name in ("simulation", "flips", "my_pictures")]
    untested = claims[claims["setting"] == "of the publication"]
    assert len(claims) == sum(map(len, parts)) + len(untested)
    assert set(untested["verdict"]) == {"not tested"}
    assert untested["measured"].str.startswith("it would take").all()
    assert {"published", "asked here"} == set(claims["origin"])
    primary = pd.read_csv(results / "tables/claims_primary.csv")
    assert len(primary) == len(claims.drop_duplicates(["origin", "statement", "source"]))
    assert html.escape(primary["statement"].iloc[0]) in page
    drawn = pd.read_csv(results / "figures/verdicts.csv")
    assert set(drawn["statement"]) == set(
        primary.query("origin == 'published' and verdict != 'not tested'")["statement"]
    )


def test_the_page_is_fit_for_every_reader(results, page, faults_of):
    assert faults_of(results / "report.html") == []


def test_tables_of_the_page_are_sorted_and_searched_and_links_unfold_what_they_lead_to(results, page, browser):
    browser.open(results / "report.html")
    first = "document.querySelector('#claims ~ details table')"
    column = f"[...{first}.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent)"
    before = browser.run(column)
    browser.run(f"{first}.tHead.rows[0].cells[0].querySelector('button').click()")
    assert sorted(before) == sorted(browser.run(column)) != before
    browser.run(f"(field => {{ field.value = 'lissa'; field.dispatchEvent(new Event('input')); }})({_SEARCH})")
    assert browser.run(column)
    assert all("LiSSA" in text for text in browser.run(column))


def test_the_page_is_whole_without_its_script_and_on_paper(results, page, browser):
    folded = (
        "[...document.querySelectorAll('details:not([open]) p')].filter(each => each.getBoundingClientRect().height)"
    )
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(results / "report.html")
        assert browser.run("document.querySelectorAll('button, input').length") == 0
        assert browser.run("document.querySelectorAll('.forest li a').length") > 5
        browser.call("Emulation.setEmulatedMedia", media="print")
        assert browser.run(f"{folded}.length") > 10
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        browser.call("Emulation.setEmulatedMedia", media="")


def test_the_page_names_what_is_missing(results):
    gone = ["figures/simulation_convergence.png", "tables/my_pictures_details.csv", "tables/claims_flips.csv"]
    for name in gone:
        (results / name).unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    assert [f"<li>{name}</li>" in html for name in gone] == [True] * 3


def test_a_study_that_was_left_out_is_neither_shown_nor_missing(results):
    (results / "tables/flips_manifest.json").unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    assert "flips" not in html
    assert "Nothing of the studies that were reported" in html


def test_an_empty_results_folder_gives_a_page_that_says_so(tmp_path):
    report_page(tmp_path, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "No claims were judged" in html
    assert "No study was reported" in html


def test_what_is_no_results_folder_or_no_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected the results folder"):
        report_page(tmp_path / "none", tmp_path / "report.html")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/words_manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"words_manifest\.json: got another file"):
        report_page(tmp_path, tmp_path / "report.html")


def test_a_number_that_is_not_known_is_empty_in_the_table(reported):
    table = pd.read_csv(reported["root"] / "tables/my_pictures.csv")
    assert np.isnan(table["half_width"]).all()  # one seed
    assert table["n"].eq(1).all()
