"""The text files of a wheel's .dist-info folder, by the packaging library, which checks them."""

from __future__ import annotations

import ast
import json
import pathlib
import re
from typing import Any

from packaging.metadata import Metadata, RawMetadata

_METADATA_VERSION = "2.4"  # the first with License-Expression
_EXTRA = re.compile(r"""extra == ["'](.+?)["']""")
_GENERATOR = "stablekv tools/wheel"


def version_in(source: pathlib.Path) -> str:
    """The value of `__version__ = "..."` in a Python source, which is not run.

    Raises:
      ValueError: there is no such assignment.
    """
    for statement in ast.parse(source.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            if [getattr(target, "id", "") for target in statement.targets] == ["__version__"]:
                return str(statement.value.value)
    raise ValueError(f'{source}: no line `__version__ = "..."`')


def metadata(fields: RawMetadata) -> bytes:
    """METADATA. `fields` are those of packaging's RawMetadata, but for the metadata's own version.

    Raises:
      ExceptionGroup: a field is missing or wrong.
    """
    raw: RawMetadata = {"metadata_version": _METADATA_VERSION, **fields}
    return Metadata.from_raw(raw).as_rfc822().as_bytes()


def extras(requires: list[str]) -> list[str]:
    """The names of the extras that requirements like `a; extra == "b"` are for."""
    return sorted({name for line in requires for name in _EXTRA.findall(line)})


def wheel(tag: str) -> bytes:
    """WHEEL, for a wheel that holds machine code."""
    lines = [
        "Wheel-Version: 1.0",
        f"Generator: {_GENERATOR}",
        "Root-Is-Purelib: false",
        f"Tag: {tag}",
    ]
    return ("\n".join(lines) + "\n").encode()


def revision(status: pathlib.Path) -> bytes:
    """The record of the git revision, from Bazel's file of stable status keys.

    Raises:
      ValueError: the keys of tools/wheel/workspace_status.sh are not in the file.
    """
    keys = dict(line.split(" ", 1) for line in status.read_text().splitlines() if " " in line)
    try:
        record: dict[str, Any] = {
            "revision": keys["STABLE_GIT_REVISION"],
            "dirty": {"yes": True, "no": False}[keys["STABLE_GIT_DIRTY"]],
        }
    except KeyError as missing:
        raise ValueError(
            f"{status} has no {missing}: a stamped wheel wants "
            "--workspace_status_command=tools/wheel/workspace_status.sh"
        ) from None
    return (json.dumps(record) + "\n").encode()
