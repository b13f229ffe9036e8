import math

from hyperinf.reporting.table_writers import Estimate, Table, latex, latex_text, markdown


def table(*cells):
    return Table("T", ("method", "value"), (("a", *cells),))


def test_latex_special_characters_are_escaped():
    assert latex_text("a_b & 50 % #1 {x} $y$ ~ ^ \\") == (
        r"a\_b \& 50 \% \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_latex_has_no_unescaped_character_of_a_name_in_it():
    text = latex([Table("task_1 & co", ("100 %", "v"), (("grad_norm", Estimate(0.5, 0.1)),))])
    assert r"task\_1 \& co" in text
    assert r"grad\_norm & $0.500 \pm 0.100$ \\" in text


def test_markdown_bars_inside_cells_are_escaped():
    assert r"a\|b" in markdown([table("a|b")])


def test_one_seed_is_shown_as_not_available_and_never_as_zero():
    one = table(Estimate(0.7, math.nan))
    assert "0.700 (n/a)" in markdown([one])
    assert "$0.700$ (n/a)" in latex([one])
    assert "±" not in markdown([one])
    assert "\\pm" not in latex([one])


def test_no_number_is_a_dash():
    assert "| a | \u2013 |" in markdown([table(Estimate(math.nan, math.nan))])


def test_bold_marks_the_number_in_both_forms():
    bold = table(Estimate(0.7, 0.1, bold=True))
    assert "**0.700 ± 0.100**" in markdown([bold])
    assert r"$\mathbf{0.700} \pm 0.100$" in latex([bold])


def test_what_rounds_to_nothing_has_no_minus():
    assert "+0.000 ± 0.100" in markdown([table(Estimate(-0.0004, 0.1, signed=True))])
    assert "−0.001 ± 0.100" in markdown([table(Estimate(-0.0006, 0.1, signed=True))])
