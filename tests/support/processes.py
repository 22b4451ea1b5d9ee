"""Python processes of their own, for what would end the one that runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence


def run_python(
    code: str, *, first: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs `code` with the import path of this process, after the folders in `first`.

    `variables` are added to the environment. Whoever calls looks at the exit code.
    """
    path = [*map(str, first), *sys.path]
    program = f"import sys; sys.path[:] = {path!r}\n{textwrap.dedent(code)}"
    # torch says so on stderr where there is no numpy, which nothing here needs.
    quiet = "ignore:Failed to initialize NumPy"
    return subprocess.run(
        [sys.executable, "-W", quiet, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_module(
    *arguments: str, first: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS`, such as `-m stablekv doctor`, with the same import path."""
    path = [os.path.abspath(folder) for folder in [*map(str, first), *sys.path] if folder]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(path)},
        cwd=tempfile.gettempdir(),  # `-m` would import what lies in the working folder
        capture_output=True,
        text=True,
        timeout=300,
    )


def check_python(code: str, **more: str | Sequence[str]) -> str:
    """Runs `code`, which must end well and write nothing to stderr; returns what it printed."""
    done = run_python(code, **more)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
