"""Finds the machine's CPythons of other versions than the build's.

The build itself is on one version (interpreter.bzl). Others are only for the torch matrix and its
locks; they come with the machine, as the first does.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator


class NotFoundError(Exception):
    """No interpreter of the version; says where it was looked for."""


def find(version: str) -> str:
    """The path of a CPython `version`, such as "3.12", that has pip.

    Looks at STABLEKV_PYTHON_3_12, then at `python3.12` on PATH, then at what pyenv has installed.

    Raises:
        NotFoundError: none of them runs, is of this version and has pip.
    """
    seen = []
    for path in _candidates(version):
        wrong = _what_is_wrong(path, version)
        if not wrong:
            return path
        seen.append(f"{path}: {wrong}")
    raise NotFoundError(
        f"no CPython {version} with pip. Looked at: {'; '.join(seen) or 'nothing, there is none'}. "
        f"Install one or set {_variable(version)} to its path"
    )


def _variable(version: str) -> str:
    return "STABLEKV_PYTHON_" + version.replace(".", "_")


def _candidates(version: str) -> Iterator[str]:
    if asked := os.environ.get(_variable(version)):
        yield asked
        return
    if found := shutil.which(f"python{version}"):
        yield found
    # pyenv's command on PATH starts only the versions that are chosen in the folder.
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for path in sorted(pathlib.Path(root, "versions").glob(f"{version}.*/bin/python{version}")):
        yield str(path)


def _what_is_wrong(path: str, version: str) -> str:
    program = "import sys, pip; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    try:
        done = subprocess.run([path, "-c", program], capture_output=True, text=True, env=clean)
    except OSError as error:
        return str(error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["does not run"])[-1]
    is_right = done.stdout.split() == ["cpython", version]
    return "" if is_right else f"is {done.stdout.strip()}"
