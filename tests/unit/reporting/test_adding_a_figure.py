import json

from project_copy import Copy, promised


def test_a_figure_is_a_builder_and_an_entry_that_workflow_page_and_captions_follow(build, tmp_path):
    copy = Copy(tmp_path / "copy")
    copy.follow("A figure")
    assert len(copy.touched) == promised("a figure")
    run = build.run(tmp_path)(accuracy={"hyperinf": 0.6, "random": 0.5})
    shape = build.shape(methods=("hyperinf",), fractions=(0.2, 0.4), detection=False).plain()
    copy.run("report", "study", "--config", json.dumps(shape), "--runs", run, "--out", tmp_path / "results")
    copy.run("report", "page", "--results", tmp_path / "results", "--out", tmp_path / "page.html")
    assert (tmp_path / f"results/figures/{shape['name']}_seeds.png").is_file()
    assert "Seeds of the runs" in (tmp_path / "page.html").read_text()
