"""What earlier runs have made, kept until the job that makes it again has succeeded.

Snakemake removes a job's outputs before it starts and when it fails: a job that refuses its input would leave nothing
of the fine-tuning that an earlier one gave. (An output flagged ``update`` is put back, but noted as made with the
settings of the job that failed.) So hard links keep the content meanwhile, and what is missing in the end is put back,
marked as unfinished: the next run makes it again.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_OF, _CONTENT = "of", "content"


class KeptOutputs:
    """The outputs in a results folder that the jobs of a run are to replace.

    Args:
        results: the folder, as it stands in the names of outputs.
    """

    def __init__(self, results: str) -> None:
        self._results, self._folder = Path(results), Path(results) / ".kept"

    def keep(self, outputs: Iterable[str]) -> None:
        """Keep those of the outputs that are there.

        Raises:
            OSError: the disk is full, or does not belong to this user.
        """
        for output in map(Path, outputs):
            if output.exists():
                place = self._place(output)
                place.mkdir(parents=True, exist_ok=True)
                (place / _OF).write_text(str(output.relative_to(self._results)), encoding="utf-8")
                if output.is_dir():
                    shutil.copytree(output, place / _CONTENT, copy_function=_linked, symlinks=True)
                else:
                    _linked(output, place / _CONTENT)

    def drop(self, outputs: Iterable[str]) -> None:
        """Forget outputs, which have been made again."""
        for output in map(Path, outputs):
            shutil.rmtree(self._place(output), ignore_errors=True)

    def put_back(self, doubt: Callable[[list[str]], None]) -> list[str]:
        """Put back what is missing, and forget the rest.

        Args:
            doubt: marks outputs as unfinished. It does so before they are there, whatever happens in between.

        Returns:
            What was put back.
        """
        missing = {output: content for output, content in self._all() if not output.exists()}
        names = [str(output) for output in missing]
        if names:
            doubt(names)
        for output, content in missing.items():
            output.parent.mkdir(parents=True, exist_ok=True)
            os.replace(content, output)
        shutil.rmtree(self._folder, ignore_errors=True)
        return names

    def _place(self, output: Path) -> Path:
        return self._folder / hashlib.sha256(str(output).encode()).hexdigest()

    def _all(self) -> Iterator[tuple[Path, Path]]:
        for place in sorted(self._folder.glob("*")):
            if (place / _CONTENT).exists():
                yield self._results / (place / _OF).read_text(encoding="utf-8"), place / _CONTENT


def _linked(source: Path | str, target: Path | str) -> Path | str:
    """The same file under a second name; a copy where a file system has no such thing."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target
