"""The settings that commands on files of rows share: how rows are put to a model, and how they are scored."""

from typing import Annotated

from hyperinf.settings.base import Place, Settings, setting
from hyperinf.settings.runtime import Resumed, Store
from hyperinf.settings.scoring import MethodName
from hyperinf.settings.types import Count, Distinct, Encoding, FilePath, Positive, Switch

Files = Annotated[tuple[FilePath, ...], Distinct]


class PuttingSettings(Settings):
    """How rows of text are read and put to the model."""

    template: FilePath | None = setting(
        None,
        help="template of one's own: a chat template in Jinja (.jinja), or YAML with the keys prompt and answer, which"
        " name columns in braces (.yaml); by default the tokenizer's chat template",
        metavar="FILE",
        reads="a template",
    )
    chat: Switch = setting(
        True, help="put rows by the tokenizer's chat template, where it has one; without, as plain text"
    )
    max_length: int = setting(
        512,
        ge=8,
        lt=2**31,
        help="length of the longest row; of a longer one the last answer loses its end, down to half of this, then the"
        " conversation its beginning",
        unit="tokens",
    )
    encoding: Encoding | None = setting(
        None, help="how text files are written, such as latin-1; by default UTF-8", metavar="NAME"
    )
    skip_bad_rows: Switch = setting(False, help="pass over rows that cannot be used, instead of stopping")


class RowScoringSettings(PuttingSettings, Resumed):
    """How rows are scored by their influence on a target."""

    target: Files = setting(
        min_length=1,
        runtime=True,
        help="files of rows like those that the model is to do well on",
        metavar="FILE",
        reads="a file of rows",
    )
    method: MethodName = setting("hyperinf", help="influence method to score by")
    damping: Positive = setting(0.1, help="damping of the curvature, as a share of the mean squared gradient")
    store: Store = setting(
        "auto",
        runtime=True,
        help="where gradients are kept between the sweeps over them: disk, from where a run that was killed goes on,"
        " memory or live (nowhere: each sweep takes them again); auto: on the disk where they take little of it, else"
        " in memory where they fit, else nowhere",
    )
    memory: Positive | None = setting(
        None,
        runtime=True,
        help="memory that gradients may take between sweeps; by default half of what is free",
        unit="GiB",
    )
    gradient_batch_size: Count = setting(8, runtime=True, help="number of rows whose gradients are taken at a time")

    @property
    def memory_bytes(self) -> int | None:
        """The bytes of ``memory``."""
        return None if self.memory is None else int(self.memory * 2**30)

    def misfits(self, suffixes: tuple[str, ...], *read: str) -> dict[str | Place, str]:
        """Say what of the files does not go together, by key.

        Args:
            suffixes: those that what is written may have.
            read: the files that are read.
        """
        wrong: dict[str | Place, str] = {}
        if not self.out.lower().endswith(suffixes):
            wrong["out"] = f"got {self.out!r}, expected a name that ends in {', '.join(suffixes)}"
        if self.out in read:
            wrong["out"] = f"got {self.out!r}, which is read as well, expected another file"
        if self.template is not None and not self.template.lower().endswith((".jinja", ".yaml", ".yml")):
            wrong["template"] = f"got {self.template!r}, expected a file .jinja or .yaml"
        return wrong
