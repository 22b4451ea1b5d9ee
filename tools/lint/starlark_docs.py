"""Finds what a .bzl file declares and does not document."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_DECLARATIONS = ("aspect", "module_extension", "provider", "repository_rule", "rule", "tag_class")


def undocumented(source: str) -> list[str]:
    """Rules, providers, attributes and the like without a doc string, as `LINE: WHAT`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    lines = {call.lineno: name for call in calls for name in _missing(call)}
    return [f"{line}: {name} without a doc string" for line, name in sorted(lines.items())]


def _missing(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name not in _DECLARATIONS and not name.startswith("attr."):
        return
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    first = call.args[0] if name == "provider" and call.args else None
    if given.get("doc", first) is None:
        yield name
    fields = given.get("fields")
    if name == "provider" and not isinstance(fields, ast.Dict):
        yield "fields of a provider"
