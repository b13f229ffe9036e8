"""``python -m hyperinf``: the same entry as the installed ``hyperinf`` script."""

from hyperinf.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
