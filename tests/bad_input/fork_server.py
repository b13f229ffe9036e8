"""Runs commands of hyperinf in forks of itself, which has imported what is slow to import; started by conftest.py.

A request is a line of JSON with ``words``, ``folder`` and ``variables``; the answer is a line with ``code``, ``out``,
``err``, and ``cpu``, the seconds of processor time that the command took. It computes nothing itself: a fork of a
process whose numerical libraries have started threads may hang.
"""

import json
import os
import resource
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

SLOW = ("torch", "transformers", "peft", "pandas", "pyarrow.parquet", "datasets", "matplotlib.pyplot", "PIL.Image",
        "pydantic", "yaml", "scipy.stats", "sklearn.metrics", "transformers.models.bert.modeling_bert",
        "transformers.models.llama.modeling_llama")  # fmt: skip


def run(words: list[str], folder: str, variables: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _become(words, folder, variables, out.fileno(), err.fileno())
        _, status, used = os.wait4(child, 0)
        out.seek(0), err.seek(0)
        cpu = used.ru_utime + used.ru_stime
        return {"code": os.waitstatus_to_exitcode(status), "out": out.read(), "err": err.read(), "cpu": cpu}


def _become(words: list[str], folder: str, variables: dict[str, str], out: int, err: int) -> None:
    code = 1
    try:
        os.dup2(out, 1), os.dup2(err, 2)
        os.environ.update(variables)
        os.chdir(folder)
        # A command that runs away is ended rather than waited for.
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        from hyperinf.cli import main

        code = main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from hyperinf.cli.commands import ON_FILES, STAGES

    own = [place.partition(":")[0] for stage in (*STAGES, *ON_FILES) for place in (stage.settings, stage.run)]
    for name in (*SLOW, "hyperinf.cli.flags", *own):
        import_module(name)
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
