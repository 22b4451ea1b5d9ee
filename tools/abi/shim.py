"""The functions of torch's C shim and the first torch that has each, read from torch's headers.

A header hides a function from older targets by `#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_11_0`;
that guard is the source. What no guard hides is as old as the stable ABI itself.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable

# The parts of the C shim with a promise; c_shim_cpu.h and the like are the compiler's own.
_HEADERS = (
    "torch/csrc/inductor/aoti_torch/c/shim.h",
    "torch/csrc/inductor/aoti_torch/generated/c_shim_aten.h",
    "torch/csrc/stable/c/shim.h",
)
OLDEST = (2, 9)

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_DIRECTIVE = re.compile(r"^\s*#\s*(\w+)\s*(.*)$")
_GUARD = re.compile(r"TORCH_FEATURE_VERSION\s*>=\s*TORCH_VERSION_(\d+)_(\d+)_\d+")
_NAME = re.compile(r"\b((?:aoti_)?torch_\w+)\s*\(")


@dataclasses.dataclass(frozen=True)
class Function:
    """`since` is (major, minor); a `cuda` function is only in a torch that is built for CUDA."""

    since: tuple[int, int]
    cuda: bool


def parse(text: str) -> dict[str, Function]:
    """The functions that one header declares, by name."""
    functions: dict[str, Function] = {}
    conditions: list[str] = []
    for line in _COMMENT.sub("", text.replace("\\\n", " ")).splitlines():
        directive = _DIRECTIVE.match(line)
        if directive:
            word, condition = directive.groups()
            if word in ("if", "ifdef", "ifndef"):
                conditions.append(f"{word} {condition}")
            elif word in ("else", "elif"):
                conditions[-1] = f"{word} {condition}"
            elif word == "endif":
                conditions.pop()
        else:
            guards = [_GUARD.search(condition) for condition in conditions]
            since = [(int(guard[1]), int(guard[2])) for guard in guards if guard]
            function = Function(max(since, default=OLDEST), "ifdef USE_CUDA" in conditions)
            for name in _NAME.findall(line):
                functions.setdefault(name, function)
    return functions


def read(texts: Iterable[str]) -> dict[str, Function]:
    """The functions of several headers: the first declaration of a name counts."""
    functions: dict[str, Function] = {}
    for text in texts:
        functions = parse(text) | functions
    return functions


def of_build() -> dict[str, Function]:
    """The functions of the torch that this repository builds with."""
    runfiles = pathlib.Path(os.environ["RUNFILES_DIR"])
    texts = []
    for header in _HEADERS:
        # @torch may have another name in a dependent's build.
        [path] = runfiles.glob(f"*/stable/{header}")
        texts.append(path.read_text())
    return read(texts)
