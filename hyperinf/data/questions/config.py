"""What a task of questions is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from hyperinf.data.label_noise import check_share
from hyperinf.data.prompts import load_template
from hyperinf.data.questions.formats import FORMATS, Format, known_format
from hyperinf.data.sources import Source
from hyperinf.data.split_assignment import Roles
from hyperinf.errors import InputError

WrongMode = Literal["uniform", "next"]


@dataclass(frozen=True)
class QuestionSource:
    """Where questions come from, and how they are asked.

    Attributes:
        source: an asset; a set on the hub; a local folder in the hub's layout; or a local file (JSON lines, Parquet).
        format: one of :data:`hyperinf.data.questions.FORMATS`.
        subset: the hub's name for one of several sets under one roof.
        revision: branch, tag or commit on the hub; ``refs/convert/parquet`` for a set that is a loading script.
        template: one of ``hyperinf/data/prompts.yaml``; by default the one that suits the format.
        split: the split (or file of a folder) to draw from; by default ``train``, and of a source of test questions
            ``test`` if there is one with answers.
        images: the folder that paths of images are relative to; by default that of the file they stand in.
        text_rows: of a format that is about images, use the rows without one, too.
    """

    source: Source
    format: str
    subset: str | None = None
    revision: str | None = None
    template: str | None = None
    split: str | None = None
    images: Path | None = None
    text_rows: bool = False

    def __post_init__(self) -> None:
        form = self.form
        load_template(self.template_name)
        if self.source.kind == "asset" and self.source.name != form.asset:
            suiting = [name for name, each in FORMATS.items() if each.asset == self.source.name]
            expected = f"expected {' or '.join(suiting)}" if suiting else "no format reads this asset"
            raise InputError(f"{self.source}: format is {self.format!r}, {expected}")
        if self.source.kind == "shape":
            raise InputError(f"{self.source}: a model's shape, not a data set")
        if form.document is not None and self.source.kind == "hub":
            raise InputError(f"{self.source}: format {self.format!r} is that of the published file; expected path:FILE")
        if self.text_rows and not form.visual:
            raise InputError(f"{self.source}: text_rows is for formats about images, not for {self.format!r}")
        if self.images is not None and not (form.visual or "image" in form.optional):
            raise InputError(f"{self.source}: a folder of images is named, but format {self.format!r} has none")
        if self.revision is not None and self.source.kind != "hub":
            raise InputError(f"{self.source}: a revision ({self.revision!r}) exists on the hub only")
        if self.subset is not None and not self.has_subsets:
            raise InputError(f"{self.source}: has no subsets, but {self.subset!r} is asked for")

    @property
    def has_subsets(self) -> bool:
        """Whether the source is a set in the hub's layout."""
        return self.source.kind == "hub" or (self.source.kind == "path" and not self.path.is_file())

    @property
    def path(self) -> Path:
        """The local file or folder."""
        return Path(self.source.name).expanduser()

    @property
    def form(self) -> Format:
        """The format."""
        return known_format(self.format)

    @property
    def template_name(self) -> str:
        """The template's name."""
        return self.template or self.form.template

    @property
    def where(self) -> str:
        """The source as messages name it."""
        return self.source.name if self.source.kind == "path" else str(self.source)

    @property
    def name(self) -> str:
        """The data set's name in :attr:`hyperinf.data.questions.Question.source`."""
        name = self.path.stem if self.source.kind == "path" else self.source.name
        return f"{name}/{self.subset}" if self.subset else name


@dataclass(frozen=True)
class QuestionTaskConfig:
    """A pool to select from, and clean validation and test questions.

    Attributes:
        source: see :class:`QuestionSource`; so too ``format``, ``subset``, ``revision``, ``template``, ``images`` and
            ``text_rows``.
        format: the form of the source's rows.
        pool: number of questions to select from. For a set in the hub's layout "at most", as in the text tasks; of
            files or an asset exactly. So too ``validation`` and ``test``.
        validation: number of validation questions, which stay clean.
        test: number of test questions, which stay clean.
        seed: of the drawing and of each corruption, which are independent of each other.
        template: how the questions are asked.
        subset: the hub's name for one of several sets under one roof.
        revision: branch, tag or commit on the hub.
        split_pool: the split that the pool is drawn from; by default ``train``. In a local folder a file's name
            (``mine.jsonl``) will do; then each split that is named is a file.
        split_validation: by default ``validation`` if there is one, else drawn from the pool's split.
        split_test: by default ``test`` if there is one with answers, else drawn from the rest of the validation split,
            then of the pool's split.
        wrong_answers: share of the pool, in ``[0, 1)``, whose answer is replaced by another choice.
        wrong_mode: ``uniform`` over the other choices, or the ``next`` choice in their order, the first after the last.
        off_task: share of the pool, in ``[0, 1)``, that is replaced by questions of another source.
        off_task_from: that source; its questions keep their own answers.
        cache: folder of assets; what ``datasets`` keeps goes there, too.
        wheels: wheels brought by hand.
        images: the folder that paths of images are relative to.
        text_rows: whether rows without an image are used where the others have one.
        skip_bad_images: pass over questions whose image is missing or damaged, and count them; by default the first
            is refused. Only the images of questions that are drawn are looked at.
        test_from: a source whose questions are the test set, say a published benchmark; then the task's own source
            gives none.
    """

    source: Source
    format: str
    pool: int
    validation: int
    test: int
    seed: int
    template: str | None = None
    subset: str | None = None
    revision: str | None = None
    split_pool: str | None = None
    split_validation: str | None = None
    split_test: str | None = None
    wrong_answers: float = 0.0
    wrong_mode: WrongMode = "uniform"
    off_task: float = 0.0
    off_task_from: QuestionSource | None = None
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = ()
    images: Path | None = None
    text_rows: bool = False
    skip_bad_images: bool = False
    test_from: QuestionSource | None = None

    def __post_init__(self) -> None:
        for role, number in self.asked.items():
            if number < 1:
                raise InputError(f"{role} questions: {number} asked for, expected at least 1")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, expected an integer of at least 0")
        check_share("wrong_answers", self.wrong_answers)
        check_share("off_task", self.off_task)
        if self.wrong_mode not in get_args(WrongMode):
            raise InputError(f"wrong_mode is {self.wrong_mode!r}, expected {' or '.join(get_args(WrongMode))}")
        if round(self.wrong_answers * self.pool) + round(self.off_task * self.pool) > self.pool:
            raise InputError(
                f"wrong_answers {self.wrong_answers} and off_task {self.off_task} are together more than the pool"
            )
        if self.off_task > 0 and self.off_task_from is None:
            raise InputError(f"off_task is {self.off_task}, but no source is named for those questions")
        if self.test_from is not None and self.split_test is not None:
            raise InputError(f"the test questions come from {self.test_from.where}, but split_test names a split, too")
        _ = self.origin

    @property
    def asked(self) -> dict[str, int]:
        """Number of questions asked for, by split."""
        return {"pool": self.pool, "validation": self.validation, "test": self.test}

    @property
    def origin(self) -> QuestionSource:
        """Where the task's own questions come from."""
        return QuestionSource(
            self.source,
            self.format,
            self.subset,
            self.revision,
            self.template,
            self.split_pool,
            self.images,
            self.text_rows,
        )

    @property
    def roles(self) -> Roles:
        """Which splits play which part."""
        return Roles(self.split_pool, self.split_validation, self.split_test, called="pool")
