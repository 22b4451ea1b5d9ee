"""Formats or checks every source that git tracks.

./bazelw run //tools/lint:format    writes
./bazelw run //tools/lint:check     writes nothing, exit code 1 when something is not right
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

from absl import app, flags

from tools.lint.starlark_docs import undocumented

_CHECK = flags.DEFINE_bool("check", False, "Only report; change nothing.")
_CLANG_FORMAT = flags.DEFINE_string(
    "clang_format", None, "The clang-format program.", required=True
)
_RUFF = flags.DEFINE_string("ruff", None, "ruff itself.", required=True)
_BUILDIFIER = flags.DEFINE_string("buildifier", None, "buildifier itself.", required=True)

_CPP = (".h", ".cc", ".cu", ".cuh", ".inc")
_MOST_LINES = 500

# All warnings, one of which is off by default, less those that are not true here: Bazel 7 has these
# rules built in, and the rule sets that later ones want are not in every registry's reach.
# tools/cc/defs.bzl and tools/py/defs.bzl are the files to change for Bazel 8.
_BUILT_IN = ("cc-binary", "cc-common", "cc-info", "cc-library", "cc-test", "py")
_WARNINGS = "--warnings=+unsorted-dict-items," + ",".join(f"-native-{n}" for n in _BUILT_IN)


def _tracked(root: pathlib.Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.splitlines()
    return [name for name in listed if (root / name).is_file()]


def _is_starlark(name: str) -> bool:
    base = os.path.basename(name)
    return name.endswith((".bzl", ".bazel")) or base in ("WORKSPACE", "BUILD")


def _long_files(root: pathlib.Path, names: list[str]) -> list[str]:
    """A source past the limit has more than one subject; a BUILD file is a list."""
    sources = [n for n in names if n.endswith((*_CPP, ".py", ".bzl"))]
    lengths = {name: len((root / name).read_text().splitlines()) for name in sources}
    return [f"{n}: {k} lines, at most {_MOST_LINES}" for n, k in lengths.items() if k > _MOST_LINES]


def _undocumented(root: pathlib.Path, names: list[str]) -> list[str]:
    files = [name for name in names if name.endswith(".bzl")]
    return [f"{n}:{line}" for n in files for line in undocumented((root / n).read_text())]


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    # Paths of the tools are relative to the runfiles folder, where `bazel run` starts us.
    tool: Callable[[str], str] = os.path.abspath
    clang_format, ruff = tool(_CLANG_FORMAT.value), tool(_RUFF.value)
    buildifier = tool(_BUILDIFIER.value)
    root = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    names = _tracked(root)
    cpp = [name for name in names if name.endswith(_CPP)]
    python = [name for name in names if name.endswith(".py")]
    starlark = [name for name in names if _is_starlark(name)]

    if _CHECK.value:
        commands = [
            [clang_format, "--dry-run", "-Werror", *cpp],
            [ruff, "format", "--check", "--quiet", *python],
            [ruff, "check", "--quiet", *python],
            [buildifier, "-mode=check", "-lint=warn", _WARNINGS, *starlark],
        ]
    else:
        commands = [
            [clang_format, "-i", *cpp],
            [ruff, "check", "--quiet", "--fix", *python],
            [ruff, "format", "--quiet", *python],
            [buildifier, "-lint=fix", _WARNINGS, *starlark],
        ]
    problems = _long_files(root, names) + _undocumented(root, names)
    for command in commands:
        if subprocess.run(command, cwd=root).returncode:
            problems.append(f"{os.path.basename(command[0])} found something, see above")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(cpp)} C++, {len(python)} Python and {len(starlark)} Starlark files are right")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    app.run(main)
