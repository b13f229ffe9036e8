"""What jobs would refuse of the models and data that are there, said before the first one."""

import json
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Iterator

from hyperinf.settings.experiment import ExperimentSettings

_REFUSED = "hyperinf: error: "


def unfit_inputs(experiment: ExperimentSettings) -> Iterator[str]:
    """Write the lines of ``hyperinf settings --check``, which looks at them."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(experiment.plain(), file)
        file.flush()
        # A process of its own: what it imports is not needed here. A list of words, no shell.
        command = [sys.executable, "-m", "hyperinf", "settings", "--check", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603
    if done.returncode == 2:
        yield from (line.removeprefix(_REFUSED) for line in done.stderr.splitlines() if line.startswith(_REFUSED))
