"""A run that ends well ends with its verdicts and where its page lies."""

import json

from workspaces import Workspace

from hyperinf.reporting.claims import Claim, claims_frame


def test_a_run_ends_with_the_verdicts_of_its_claims_and_the_path_of_its_page(done: Workspace) -> None:
    claim = Claim("HyperINF takes less time", "a paper", "here", "difference", "log_ratio", {1: 0.5, 2: 0.51, 3: 0.52})
    tables = done.root / "results/smoke/tables"
    claims_frame([claim]).to_csv(tables / "claims_mislabel.csv", index=False)
    entry = {"kind": "claims", "name": "claims_mislabel", "files": ["tables/claims_mislabel.csv"]}
    empty: dict[str, list[str]] = {"brief": [], "summary": [], "samples": [], "records": []}
    for file in tables.glob("*_manifest.json"):
        name = file.name.removesuffix("_manifest.json")
        entries = [entry] if name == "mislabel" else []
        manifest = {"study": name, "title": f"Study {name}", "entries": entries, **empty}
        file.write_text(json.dumps(manifest))
    printed = done.smoke()
    last = [line for line in printed.splitlines() if line.startswith("hyperinf: ")][-5:]
    assert [line.removeprefix("hyperinf: ").strip().split("  ")[0] for line in last] == [
        "published claims",
        "Study mislabel",
        "✓ HyperINF takes less time",
        "look at results/smoke/report.html",
        last[-1].removeprefix("hyperinf: "),
    ]
    assert "\x1b" not in printed


def test_a_run_whose_tables_cannot_be_read_ends_all_the_same(done: Workspace) -> None:
    (done.root / "results/smoke/tables/mislabel_manifest.json").write_text('{"study": "mislabel"}')
    assert "hyperinf: look at results/smoke/report.html" in done.smoke()
