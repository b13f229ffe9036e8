"""A data set as its settings name it, with the format of its rows."""

from pathlib import Path

from hyperinf.data.formats.form import Format, known_format
from hyperinf.data.sources.text_files import stem_of
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings
from hyperinf.settings.registers import FORMATS


class Origin:
    """Hold a data set's settings and format, which suit each other.

    Args:
        data: the settings.
        name: what the data set is called in :attr:`hyperinf.data.samples.Sample.source`; made of the source without it.

    Attributes:
        data: the settings.
        form: the format, its columns bound to those that the settings name.
        path: the local file or folder, where it is one.
        where: the source as messages name it.
        name: see above.

    Raises:
        InputError: the format is not that of the source, or has no use for a setting.
    """

    def __init__(self, data: DataSettings, name: str | None = None) -> None:
        source = data.source
        self.data = data
        self.path = Path(source.name)
        self.where = source.name if source.kind == "path" else str(source)
        set_name = stem_of(self.path) if source.kind == "path" else source.name
        self.name = name or (f"{set_name}/{data.subset}" if data.subset else set_name)
        form = known_format(data.format)
        _check(data, form, self.path)
        self.form: Format = form if form.bind is None else form.bind(data)

    @property
    def template(self) -> str:
        """Name the prompt template: the one of the settings, or the one that suits the format."""
        return self.data.template or self.form.template


def _check(data: DataSettings, form: Format, path: Path) -> None:
    source = data.source
    if source.kind == "asset" and source.name != form.asset:
        suiting = [name for name in FORMATS if known_format(name).asset == source.name]
        raise InputError(f"{source}: got format {data.format!r}, expected {' or '.join(suiting)}")
    if form.document is not None and source.kind == "hub":
        raise InputError(f"{source}: got format {data.format!r}, that of the published file, expected path:FILE")
    if data.text_rows and not form.visual:
        raise InputError(f"{source}: got text_rows for format {data.format!r}, expected a format about images")
    if data.images is not None and not form.pictured:
        raise InputError(f"{source}: got a folder of images for format {data.format!r}, expected one with images")
    if data.subset is not None and source.kind == "path" and path.is_file():
        raise InputError(f"{source}: got subset {data.subset!r}, expected none: a file has no subsets")
