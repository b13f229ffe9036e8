"""What pyproject.toml cannot say: the workflow's files in the wheel, and the README as a page that stands alone."""

import re
import shutil
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


class BuildWithProject(build_py):
    """Adds ``hyperinf/project``: what ``hyperinf init`` writes. An editable installation reads it where it is."""

    def run(self) -> None:
        """Copy the package, then the files."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib, "hyperinf", "project")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for target, source in PYPROJECT["tool"]["hyperinf"]["project"].items():
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder / target)


def page() -> str:
    """Make the README's text for a package index, which has none of the files that it links to.

    With a ``Repository`` among the project's addresses, links lead there. Without one a picture is left out, and of a
    link its text stays.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    repository = PYPROJECT["project"]["urls"].get("Repository", "").rstrip("/")
    inside = r"\]\((?!https?:|#|mailto:)([^)\s]+)\)"
    if repository:
        text = re.sub(r'\b(src|srcset)="(?!https?:)([^"]+)"', rf'\1="{repository}/raw/main/\2"', text)
        text = re.sub(r"(!\[[^\]]*)" + inside, rf"\1]({repository}/raw/main/\2)", text)
        return re.sub(r"((?<!!)\[[^\]]*)" + inside, rf"\1]({repository}/blob/main/\2)", text)
    text = re.sub(r"<picture>.*?</picture>\n*", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*" + inside + r"\n*", "", text)
    return re.sub(r"(?<!!)\[([^\]]*)" + inside, r"\1", text)


setup(cmdclass={"build_py": BuildWithProject}, long_description=page(), long_description_content_type="text/markdown")
