"""Sorts the names that a library needs: torch's stable C shim, the C and C++ runtimes, the rest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from tools.abi import shim
from tools.abi.demangle import demangle
from tools.abi.elf import SharedLibrary, Symbol

# Libraries of the platform whose symbols have versions.
_RUNTIMES = re.compile(
    r"(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|ld-linux[\w-]*)\.so\.\d+"
)
_FLOOR = re.compile(r"(GLIBC|GLIBCXX|CXXABI|GCC)_(\d+(?:\.\d+)*)")
# The compiler's start-up code asks for these and does without them.
OPTIONAL = (
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "__cxa_finalize",
    "__gmon_start__",
)
_TORCH_CXX = re.compile(r"\b(at|c10|c10d|caffe2|torch)::")
_TORCH_C = re.compile(r"(aoti_)?torch_")
_PYTHON = re.compile(r"_?Py[A-Z_]\w*")

Version = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Offender:
    """A symbol that the stable ABI does not promise, and why it is one."""

    symbol: str
    reason: str

    def __str__(self) -> str:
        return f"{demangle(self.symbol)}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Audit:
    """`shim`: the C shim's functions in use; `cuda_weak`: those that a CPU torch may lack."""

    shim: Mapping[str, shim.Function]
    cuda_weak: tuple[str, ...]
    cuda_strong: tuple[str, ...]
    unstable: tuple[str, ...]
    python: tuple[str, ...]
    unknown: tuple[Offender, ...]
    floors: Mapping[str, Version]

    @property
    def minimum_torch(self) -> Version | None:
        """The first torch that has every shim function in use; None where none is used."""
        return max((function.since for function in self.shim.values()), default=None)

    @property
    def verdict(self) -> str:
        """In words: a library of no torch is neither stable nor unstable."""
        if self.unstable:
            return "unstable"
        if any(_TORCH_C.match(offender.symbol) for offender in self.unknown):
            return "unknown: it uses functions of torch that these headers do not have"
        return "stable" if self.shim else "not an extension of torch"

    def newer_than(self, target: Version) -> list[Offender]:
        """The shim functions in use that torch `target` does not have."""
        return [
            Offender(name, f"first in torch {text_of(function.since)}, wanted {text_of(target)}")
            for name, function in self.shim.items()
            if function.since > target
        ]

    def above(self, floors: Mapping[str, Version]) -> list[Offender]:
        """The runtimes' versions that are newer than `floors`, or not in it."""
        return [
            Offender(f"{family}_{text_of(version)}", f"the floor is {text_of(floors.get(family))}")
            for family, version in self.floors.items()
            if version > floors.get(family, ())
        ]


def text_of(version: Version | None) -> str:
    """(2, 10) -> "2.10"."""
    return ".".join(map(str, version)) if version else "none"


def _unknown(symbol: Symbol) -> Offender:
    if symbol.library:
        return Offender(symbol.name, f"a symbol of {symbol.library}")
    if _TORCH_C.match(symbol.name):
        return Offender(symbol.name, "no function of the C shim in the headers read here")
    return Offender(symbol.name, "nothing says which library it is of")


def audit(library: SharedLibrary, functions: Mapping[str, shim.Function]) -> Audit:
    """Sorts every undefined symbol of `library`; `functions` is the C shim."""
    used: dict[str, shim.Function] = {}
    weak, strong, unstable, python, unknown = [], [], [], [], []
    for symbol in library.undefined:
        name = symbol.name
        if name in functions:
            used[name] = functions[name]
            if functions[name].cuda:
                (weak if symbol.weak else strong).append(name)
        elif _RUNTIMES.fullmatch(symbol.library) or (symbol.weak and name in OPTIONAL):
            continue
        elif _TORCH_CXX.search(demangle(name)):
            unstable.append(name)
        elif _PYTHON.fullmatch(name):
            python.append(name)
        else:
            unknown.append(_unknown(symbol))
    floors: dict[str, Version] = {}
    for owner, version in library.versions:
        match = _FLOOR.fullmatch(version)
        if match and _RUNTIMES.fullmatch(owner):
            number = tuple(map(int, match[2].split(".")))
            floors[match[1]] = max(floors.get(match[1], ()), number)
    return Audit(
        used, tuple(weak), tuple(strong), tuple(unstable), tuple(python), tuple(unknown), floors
    )
