"""The settings of a run beside its results: there when, and only when, they are those of all that is there."""

import logging
from pathlib import Path
from typing import Any

import yaml
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import logger

from hyperinf.artifacts.files import write_text
from hyperinf.artifacts.records import SETTINGS
from hyperinf.settings.experiment import ExperimentSettings


class SettingsBeside:
    """Writes what decides the results into their folder once all of them are there.

    Args:
        workflow: Snakemake's.
        results: folder of the results.
        experiment: what is run.
    """

    def __init__(self, workflow: Any, results: str, experiment: ExperimentSettings) -> None:
        self._workflow = workflow
        self._file = Path(results) / SETTINGS
        self._text = yaml.safe_dump(experiment.deciding(), sort_keys=False, allow_unicode=True)
        if workflow.is_main_process:
            logger.addFilter(self._listen)

    def forget(self) -> None:
        """Remove them where jobs are about to run: they are not those of what a kill would leave."""
        self._file.unlink(missing_ok=True)

    def write(self) -> None:
        """Write them, if all results were asked for and not some of them."""
        asked = self._workflow.dag_settings
        if set(asked.targets) <= {"all"} and not (asked.until or asked.omit_from):
            write_text(self._file, self._text)

    def _listen(self, record: logging.LogRecord) -> bool:
        """Snakemake has no hook for a run that finds nothing to do. Hides nothing of the log."""
        if record.msg == NOTHING_TO_BE_DONE_MSG and not self._workflow.dryrun:
            self.write()
        return True
