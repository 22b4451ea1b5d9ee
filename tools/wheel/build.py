"""Packs a wheel: the program behind the rule `python_wheel`.

Same inputs, same bytes: names are sorted, times are that of 1980, modes are 644 and 755. The
`wheel` package writes the archive and RECORD, and names the file after its content.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

from absl import app, flags

from tools.abi import elf
from tools.wheel import metadata, platform_tag

_NAME = flags.DEFINE_string("name", None, "Of the distribution.", required=True)
_VERSION = flags.DEFINE_string("version_file", None, "A source with __version__.", required=True)
_SUMMARY = flags.DEFINE_string("summary", None, "One line about it.", required=True)
_README = flags.DEFINE_string("readme", None, "The description, in Markdown.", required=True)
_LICENSE = flags.DEFINE_string("license", None, "The license's file.", required=True)
_LICENSE_ID = flags.DEFINE_string("license_id", None, "Its SPDX expression.", required=True)
_PYTHON = flags.DEFINE_string("requires_python", None, "`>=3.10`.", required=True)
_REQUIRES = flags.DEFINE_multi_string("requires", [], "What pip shall install with it.")
_FILES = flags.DEFINE_multi_string("file", [], "PLACE=FILE; PLACE is the path in the wheel.")
_STATUS = flags.DEFINE_string("status", None, "Bazel's stable status keys, to record a revision.")
_REVISION = flags.DEFINE_string("revision_place", None, "Where the revision goes in the wheel.")
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write the wheel to.", required=True)

_TIME = "315532800"  # 1980-01-01, the first that a zip archive can hold


def _lay_out(root: pathlib.Path) -> None:
    """Makes the wheel's content below `root`."""
    libraries = []
    for entry in _FILES.value:
        place, source = entry.split("=", 1)
        data = pathlib.Path(source).read_bytes()
        library = data.startswith(b"\x7fELF")
        if library:
            libraries.append(elf.read(pathlib.Path(source)))
        _write(root / place, data, 0o755 if library else 0o644)
    if _STATUS.value:
        _write(root / _REVISION.value, metadata.revision(pathlib.Path(_STATUS.value)))

    version = metadata.version_in(pathlib.Path(_VERSION.value))
    license_file = pathlib.Path(_LICENSE.value)
    fields = {
        "name": _NAME.value,
        "version": version,
        "summary": _SUMMARY.value,
        "description": pathlib.Path(_README.value).read_text(),
        "description_content_type": "text/markdown",
        "license_expression": _LICENSE_ID.value,
        "license_files": [license_file.name],
        "requires_python": _PYTHON.value,
        "requires_dist": list(_REQUIRES.value),
        "provides_extra": metadata.extras(_REQUIRES.value),
    }
    info = root / f"{_NAME.value}-{version}.dist-info"
    _write(info / "METADATA", metadata.metadata(fields))
    _write(info / "WHEEL", metadata.wheel(f"py3-none-{platform_tag.of(libraries)}"))
    _write(info / "licenses" / license_file.name, license_file.read_bytes())


def _write(path: pathlib.Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    output = pathlib.Path(_OUTPUT.value)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        _lay_out(pathlib.Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "wheel", "pack", f"--dest-dir={output}", folder],
            env={**os.environ, "SOURCE_DATE_EPOCH": _TIME},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if done.returncode:
        sys.exit(f"wheel pack failed:\n{done.stdout}")


if __name__ == "__main__":
    app.run(main)
