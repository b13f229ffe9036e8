"""Steps whose results stay in the state's folder: made once, and again where what decides them has changed."""

import logging
from collections.abc import Callable
from pathlib import Path

from hyperinf.artifacts.environment import hashed
from hyperinf.artifacts.files import atomic_directory
from hyperinf.artifacts.records import RECORD, read_record, write_record
from hyperinf.errors import InputError

_log = logging.getLogger(__name__)


def made(folder: Path, identity: str, make: Callable[[Path], None]) -> bool:
    """Make a folder whole, if it is not there already, undamaged and of this identity.

    Args:
        folder: to make.
        identity: of all that decides what is in it.
        make: fills an empty folder.

    Returns:
        Whether it had to be made.
    """
    if (folder / RECORD).is_file():
        try:
            if read_record(folder / RECORD)["identity"] == identity:
                return False
        except (InputError, KeyError, TypeError) as damage:
            _log.warning("%s is made again (%s)", folder, damage)
    with atomic_directory(folder) as temporary:
        make(temporary)
        write_record(temporary / RECORD, {"identity": identity, "outputs": hashed(temporary, "*")})
    return True
