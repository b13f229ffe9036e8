"""Judge all claims that a study can speak to, by what it did."""

from collections.abc import Iterator

from hyperinf.reporting.claims import Claim
from hyperinf.reporting.detection_claims import cost_claims, detection_claims
from hyperinf.reporting.selection_claims import selection_claims
from hyperinf.reporting.study_inputs import StudyResults


def study_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge the claims on detection, cost and selection."""
    yield from detection_claims(read)
    yield from cost_claims(read)
    yield from selection_claims(read)
