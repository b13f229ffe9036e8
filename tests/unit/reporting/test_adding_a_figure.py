import json

from project_copy import Copy, promised

BUILDER = """import pandas as pd

from hyperinf.reporting import style


def seeds_figure(read, entry):
    data = pd.DataFrame({"seed": [run.seed for run in read.runs]})
    figure, axes = style.new_figure(1, 1, 2.0)
    axes[0][0].plot(data["seed"])
    return style.Drawing(data, figure)
"""
ENTRY = """STUDY = (
    Product("figure", "seeds", "Seeds of the runs. Which seeds were run.", "seeds_figure:seeds_figure"),
"""


def test_a_figure_is_a_builder_and_an_entry_that_workflow_page_and_captions_follow(build, tmp_path):
    copy = Copy(tmp_path / "copy")
    copy.write("hyperinf/reporting/seeds_figure.py", BUILDER)
    copy.replace("hyperinf/reporting/register.py", "STUDY = (\n", ENTRY)
    assert len(copy.touched) == promised("a figure")
    run = build.run(tmp_path)(accuracy={"hyperinf": 0.6, "random": 0.5})
    shape = build.shape(methods=("hyperinf",), fractions=(0.2, 0.4), detection=False).plain()
    copy.run("report", "study", "--config", json.dumps(shape), "--runs", run, "--out", tmp_path / "results")
    copy.run("report", "page", "--results", tmp_path / "results", "--out", tmp_path / "page.html")
    assert (tmp_path / f"results/figures/{shape['name']}_seeds.png").is_file()
    assert "Seeds of the runs" in (tmp_path / "page.html").read_text()
