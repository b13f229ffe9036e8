"""The command line."""

from hyperinf.cli.main import build_parser, main

__all__ = ["build_parser", "main"]
