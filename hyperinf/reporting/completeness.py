"""Whether a results folder holds all that its experiment makes, as it was made."""

from collections.abc import Iterator
from pathlib import Path

from hyperinf.artifacts.lineage import BROKEN, LOST, chain
from hyperinf.artifacts.records import SETTINGS
from hyperinf.errors import InputError
from hyperinf.reporting.manifest import expected, expected_page, expected_simulation
from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import SIMULATION, ExperimentSettings, checked_experiment
from hyperinf.settings.plan import Plan
from hyperinf.settings.yaml_files import read_yaml

REPORT = "report.html"
_AGAIN = "expected the results of a run that came to its end; give its command again, without a target"


def check_complete(results: Path) -> None:
    """Refuse the results of a run that has not come to its end, or has changed since.

    Args:
        results: folder of the results, in which a run that ends well leaves its settings.

    Raises:
        InputError: naming the first file that is missing, or is not what it was.
    """
    settings = results / SETTINGS
    if not settings.is_file():
        raise InputError(f"{results}: got no {SETTINGS}, {_AGAIN}")
    try:
        experiment = checked_experiment(read_yaml(settings))
    except SettingsError as error:
        raise InputError(f"{settings}: {error.mistakes[0]}") from None
    for file in _reported(experiment):
        if not (results / file).is_file():
            raise InputError(f"{results}: got no {file}, {_AGAIN}")
    below = str(results.absolute())
    for link in chain(results / REPORT, results):
        # A file of the user's own may have gone its way; what other stages wrote is part of the results.
        if link.state == LOST or (link.state in BROKEN and link.name.startswith(below)):
            raise InputError(
                f"{results}: got {link.name}, which is {link.state}, expected it as it was when it was read"
            )


def _reported(experiment: ExperimentSettings) -> Iterator[str]:
    plan = Plan(experiment, "")
    studies = [expected(plan.shape(name)) for name in experiment.running]
    simulation = [expected_simulation()] if SIMULATION in experiment.run else []
    for entries in (*simulation, *studies, expected_page()):
        yield from (file for entry in entries for file in entry.files)
    yield REPORT
