"""What counts as the same answer, and what a set of answers scores."""

import re
from collections.abc import Sequence

from hyperinf.data.questions import Question

ARTICLES = ("a", "an", "the")
_NUMBERS = "zero one two three four five six seven eight nine ten"
NUMBERS = {"none": "0", **{word: str(number) for number, word in enumerate(_NUMBERS.split())}}
# Without their apostrophe these are words that English does not have otherwise.
_CONTRACTIONS = """
    ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't
    oughtn't shan't shouldn't wasn't weren't won't wouldn't could've might've must've should've would've they've
    we've you've i've he's she's that's there's what's where's who's how's it'll they'll you'll they'd you'd
    they're you're i'm let's o'clock
"""
CONTRACTIONS = {word.replace("'", ""): word for word in _CONTRACTIONS.split()}
POPE_KINDS = frozenset({"random", "popular", "adversarial"})


def plain(text: str) -> str:
    """The first line's words in lower case, without a full stop: what an answer is compared by."""
    lines = text.strip().splitlines()
    return " ".join(lines[0].lower().rstrip(".").split()) if lines else ""


def normalised(text: str) -> str:
    """An answer as the VQA evaluation compares it (Antol et al. 2015, https://visualqa.org/evaluation).

    Lower case; no full stops but decimal points; no commas within numbers; other punctuation, apart from apostrophes
    and colons, is a space; number words are digits; no articles; contractions have their apostrophe.
    """
    text = " ".join(text.lower().split())
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "", text)
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    words = re.sub(r"[^\w\s':.]", " ", text).split()
    return " ".join(CONTRACTIONS.get(word, NUMBERS.get(word, word)) for word in words if word not in ARTICLES)


def soft_accuracy(answer: str, accepted: Sequence[str]) -> float:
    """VQA accuracy of an answer (Antol et al. 2015): right if three other people gave it, in part if fewer did.

    The mean over all people, each left out once, of ``min(matches among the others / 3, 1)``. The measure is meant for
    ten people; with fewer the same formula holds, and with one or none left to agree it is 0.

    Args:
        answer: what the model wrote.
        accepted: the people's answers, with repetition.
    """
    if not accepted:
        return 0.0
    given = normalised(answer)
    same = [normalised(each) == given for each in accepted]
    matches = sum(same)
    return sum(min((matches - each) / 3, 1.0) for each in same) / len(same)


def answer_metrics(questions: Sequence[Question], texts: Sequence[str]) -> dict[str, float]:
    """What a model's answers score, over all questions and over each kind.

    An answer to a question that several people have answered scores its :func:`soft_accuracy`, any other one 1 if it is
    the true answer up to case, white space and a full stop.

    Args:
        questions: n questions.
        texts: n answers as the model wrote them.

    Returns:
        ``accuracy``, and ``accuracy_<kind>`` where the questions tell their kind. For POPE's kinds also ``precision``,
        ``recall``, ``f1`` of the answer yes and ``yes_share`` (Li et al. 2023).
    """
    scores = [_score(each, text) for each, text in zip(questions, texts, strict=True)]
    metrics = {"accuracy": sum(scores) / len(scores)}
    for kind in sorted({each.kind for each in questions} - {""}):
        metrics[f"accuracy_{_safe(kind)}"] = _mean(scores, [each.kind == kind for each in questions])
    if {each.kind for each in questions} <= POPE_KINDS:
        metrics |= _yes_no(questions, texts)
    return metrics


def _score(question: Question, text: str) -> float:
    if question.accepted:
        return soft_accuracy(text, question.accepted)
    return float(plain(question.true_answer) == plain(text))


def _yes_no(questions: Sequence[Question], texts: Sequence[str]) -> dict[str, float]:
    said = [plain(text) == "yes" for text in texts]
    true = [plain(each.true_answer) == "yes" for each in questions]
    right = sum(map(bool.__and__, said, true))
    return {
        "precision": right / max(1, sum(said)),
        "recall": right / max(1, sum(true)),
        "f1": 2 * right / max(1, sum(said) + sum(true)),
        "yes_share": sum(said) / len(said),
    }


def _mean(values: Sequence[float], chosen: Sequence[bool]) -> float:
    kept = [value for value, each in zip(values, chosen, strict=True) if each]
    return sum(kept) / len(kept)


def _safe(kind: str) -> str:
    """A kind of question as part of a metric's name: letters, digits and _."""
    return re.sub(r"\W+", "_", kind.strip().lower()).strip("_")
