"""Judge whether HyperINF's scores predict retraining better than the others' do."""

from collections.abc import Iterator

from hyperinf.reporting import labels
from hyperinf.reporting.claims import Claim
from hyperinf.reporting.ranking import difference, rivals_among
from hyperinf.reporting.study_inputs import StudyResults

_METRIC = "lds"


def validation_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge HyperINF by the linear datamodeling score on each target sample, against every method and baseline.

    The publication compares no scores with retraining, so that all of this is asked here; on the mean of the target
    samples alone a study of this size tells nothing apart, and it stands in the tables.
    """
    family = labels.family_label(read.shape.family)
    for cell in read.frame.cells:
        for place in read.frame.places(cell, _METRIC):
            for rival in rivals_among(read.frame.at(place)):
                yield Claim(
                    f"{family}: HyperINF's scores predict retraining better than those of {labels.method_label(rival)}",
                    "",
                    read.where(cell),
                    "difference",
                    "correlation",
                    difference(read.frame, place, rival),
                )
