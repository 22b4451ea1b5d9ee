"""Finds operator schemas among the texts in a library: what it registers, as far as texts show it.

A schema is data that is handed to torch when the library is loaded. One that the program puts
together then, or that the compiler kept in instructions, is not seen; neither is the namespace.
"""

from __future__ import annotations

import pathlib
import re

_TEXT = re.compile(rb"[\x20-\x7e]{6,}")
_SCHEMA = re.compile(r"(?P<name>(?:\w+::)?[A-Za-z_]\w*(?:\.\w+)?)\((?P<arguments>.*)\) -> (.+)")
# The types that the dispatcher's schema language has, with what may follow: (a!), [], ?, !
_TYPE = (
    r"(Tensor|Scalar|ScalarType|SymInt|int|float|complex|bool|str|Device|Layout|MemoryFormat|"
    r"Generator|Dimname|Storage|Stream|Any|__torch__[\w.]*)(\(\w+!?[^)]*\))?[\[\]?!\d]*"
)
_ARGUMENT = re.compile(rf"(\*|(\*, )?{_TYPE} \w+(=.*)?)?")


def _is_schema(match: re.Match[str]) -> bool:
    # A default may hold a comma, "int[2] stride=[1, 1]": its rest is no argument of its own.
    arguments = re.sub(r"=\[[^\]]*\]", "", match["arguments"]).split(", ")
    return all(_ARGUMENT.fullmatch(argument) for argument in arguments)


def find(path: pathlib.Path) -> dict[str, str]:
    """Operator name -> schema, of every text in the file that is a schema."""
    found = {}
    for raw in _TEXT.findall(path.read_bytes()):
        if b") -> " in raw:
            match = _SCHEMA.fullmatch(raw.decode())
            if match and _is_schema(match):
                found[match["name"]] = match[0]
    return dict(sorted(found.items()))
