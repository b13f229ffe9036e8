"""Pages fit a narrow screen: they take its width, nothing stands beside another there, and wide tables scroll."""

from pathlib import Path

import pytest

import hyperinf

PAGES = [
    path for path in Path(hyperinf.__file__).parent.glob("*/templates/*.html.j2") if "<html" in path.read_text("utf-8")
]
OF_COMMANDS = [path for path in PAGES if path.parts[-3] in ("selecting", "attribution", "mislabeled")]


@pytest.mark.parametrize("path", OF_COMMANDS, ids=lambda path: path.name)
def test_a_page_fits_a_phone(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width' in page
    assert "@media (max-width:" in page
    assert page.count("<table") == page.count('<div class="wide"><table') + page.count('<div class="scroll"><table')


def test_all_three_commands_have_a_page() -> None:
    assert len(OF_COMMANDS) == 3
