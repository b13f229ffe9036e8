"""What a module's source means, whatever its comments, docstrings and layout, and what it imports."""

import ast
import hashlib
from functools import cache
from typing import Any

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def meaning(source: bytes) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """Hash a module without docstrings and ``__version__``, and list its import statements, also those in functions.

    Raises:
        SyntaxError: it is no Python.
    """
    imports: list[ast.Import | ast.ImportFrom] = []
    text = _text(ast.parse(source), imports)
    return hashlib.sha256(text.encode()).hexdigest(), tuple(imports)


def _text(node: Any, imports: list[ast.Import | ast.ImportFrom]) -> str:
    """The syntax tree as text, without docstrings and ``__version__``; it has no comments and no layout."""
    if isinstance(node, list):
        return f"[{','.join([_text(each, imports) for each in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    if isinstance(node, _DOCUMENTED):
        node.body = [each for place, each in enumerate(node.body) if not _is_comment(each, place)]
    # Whether a name is read or written shows in where it stands.
    fields = [_text(getattr(node, field, None), imports) for field in node._fields if field != "ctx"]
    return f"{type(node).__name__}({','.join(fields)})"


def _is_comment(statement: ast.stmt, place: int) -> bool:
    """Whether a statement is a docstring (the first one, if it is a string) or sets the version."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return place == 0
        case ast.Assign(targets=[ast.Name(id="__version__")]):
            return True
    return False
