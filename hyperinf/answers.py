"""What counts as the same answer."""

from collections.abc import Sequence

from hyperinf.data.questions import Question


def plain(text: str) -> str:
    """The first line's words in lower case, without a full stop: what an answer is compared by."""
    lines = text.strip().splitlines()
    return " ".join(lines[0].lower().rstrip(".").split()) if lines else ""


def answer_metrics(questions: Sequence[Question], texts: Sequence[str]) -> dict[str, float]:
    """Share of the questions whose text is the true answer, of all and of each kind."""
    right = [plain(each.true_answer) == plain(text) for each, text in zip(questions, texts, strict=True)]
    metrics = {"accuracy": sum(right) / len(right)}
    for kind in sorted({each.kind for each in questions} - {""}):
        of_kind = [hit for each, hit in zip(questions, right, strict=True) if each.kind == kind]
        metrics[f"accuracy_{kind}"] = sum(of_kind) / len(of_kind)
    return metrics
