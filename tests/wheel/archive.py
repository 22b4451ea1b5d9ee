"""The wheel under test, and what these tests ask of one."""

from __future__ import annotations

import email.message
import email.parser
import os
import pathlib
import zipfile


def find() -> pathlib.Path:
    """The one file in the folder that //:wheel makes."""
    (wheel,) = pathlib.Path(os.environ["STABLEKV_WHEEL"]).iterdir()
    return wheel


def contents(wheel: pathlib.Path) -> dict[str, bytes]:
    """Name -> bytes, in the order of the archive."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def fields(wheel: pathlib.Path, file: str) -> email.message.Message:
    """METADATA or WHEEL, parsed."""
    (text,) = (
        data for name, data in contents(wheel).items() if name.endswith(f".dist-info/{file}")
    )
    return email.parser.BytesParser().parsebytes(text)
