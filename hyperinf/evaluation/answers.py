"""What counts as the same answer."""

import re
from collections.abc import Sequence

from hyperinf.data.formats.field_parsers import POPE_KINDS, YES_NO
from hyperinf.data.samples import Sample
from hyperinf.evaluation.vqa_normalization import normalised

_AGREEING = 3


def plain(text: str) -> str:
    """The first line's words in lower case, without a full stop: what an answer is compared by."""
    lines = text.strip().splitlines()
    return " ".join(lines[0].lower().rstrip(".").split()) if lines else ""


def soft_accuracy(answer: str, accepted: Sequence[str]) -> float:
    """The VQA accuracy of an answer, in ``[0, 1]``: right if three people have given it.

    The mean of ``min(matches / 3, 1)`` over the subsets that leave out one of the people (Antol et al., *VQA: Visual
    Question Answering*, ICCV 2015), answers being compared as
    :func:`hyperinf.evaluation.vqa_normalization.normalised`. Where fewer than three people are
    left, all of them have to agree with it; a single person's answer is right or wrong.

    Args:
        answer: what is judged.
        accepted: the people's answers, ten in the published sets.

    Raises:
        ValueError: nobody has answered.
    """
    people = len(accepted)
    if not people:
        raise ValueError("accepted is empty; expected people's answers")
    same = normalised(answer)
    matches = sum(normalised(each) == same for each in accepted)
    if people == 1:
        return float(matches)
    needed = min(_AGREEING, people - 1)
    # As many subsets leave out a match as there are matches.
    without, with_all = (min(left / needed, 1.0) for left in (matches - 1, matches))
    return (matches * without + (people - matches) * with_all) / people


def answer_metrics(questions: Sequence[Sample], texts: Sequence[str]) -> dict[str, float]:
    """How right the texts are.

    A text counts by :func:`soft_accuracy` where a question has the answers of several people; elsewhere it is right or
    wrong, compared with the true answer as :func:`plain`.

    Args:
        questions: at least one.
        texts: for each, what was answered.

    Returns:
        ``accuracy``, the mean over all questions; ``accuracy_<kind>`` over those of each kind, its name in lower case
        with ``_`` for what is neither letter nor digit; of POPE's questions what :func:`pope_metrics` says, too.
    """
    if is_pope(questions):
        texts = [_pope_answer(text) for text in texts]
    credits = [_credit(question, text) for question, text in zip(questions, texts, strict=True)]
    metrics = {"accuracy": _mean(credits)}
    kinds = [_safe(question.kind) for question in questions]
    for kind in sorted(set(kinds) - {""}):
        metrics[f"accuracy_{kind}"] = _mean([credit for credit, own in zip(credits, kinds, strict=True) if own == kind])
    return metrics | (pope_metrics(questions, texts) if is_pope(questions) else {})


def is_pope(questions: Sequence[Sample]) -> bool:
    """Whether all are yes/no questions of POPE's kinds: random, popular, adversarial."""
    return all(set(each.choices) == set(YES_NO) and each.kind in POPE_KINDS for each in questions)


def pope_metrics(questions: Sequence[Sample], texts: Sequence[str]) -> dict[str, float]:
    """``precision``, ``recall`` and ``f1`` of the answer yes, and ``yes_fraction``, that of texts that say it.

    As Li et al., *Evaluating Object Hallucination in Large Vision-Language Models*, EMNLP 2023, report. A text says no
    if "no" or "not" is among the words of its first sentence, and yes otherwise. What has nothing to count is 0.
    """
    said = [_pope_answer(text) == "yes" for text in texts]
    true = [question.true_answer == "yes" for question in questions]
    both = sum(one and other for one, other in zip(said, true, strict=True))
    return {
        "precision": both / max(sum(said), 1),
        "recall": both / max(sum(true), 1),
        "f1": 2 * both / max(sum(said) + sum(true), 1),
        "yes_fraction": _mean(said),
    }


def _credit(question: Sample, text: str) -> float:
    if question.accepted:
        return soft_accuracy(text, question.accepted)
    return float(plain(question.true_answer) == plain(text))


def _pope_answer(text: str) -> str:
    words = re.findall(r"[a-z]+", text.partition(".")[0].lower())
    return "no" if {"no", "not"}.intersection(words) else "yes"


def _safe(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
