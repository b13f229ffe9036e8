"""Question sets to select from: a pool, parts of it made worse on purpose, and clean validation and test questions."""

from hyperinf.data.questions.config import QuestionSource, QuestionTaskConfig
from hyperinf.data.questions.formats import FORMATS, Format
from hyperinf.data.questions.images import read_image
from hyperinf.data.questions.prepare import prepare_questions, read_questions_info
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.splits import SPLITS, read_questions

__all__ = [
    "FORMATS",
    "SPLITS",
    "Format",
    "Question",
    "QuestionSource",
    "QuestionTaskConfig",
    "prepare_questions",
    "read_image",
    "read_questions",
    "read_questions_info",
]
