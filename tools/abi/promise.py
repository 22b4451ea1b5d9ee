"""What the stable library promises, as checks of the finished file: docs/abi.md."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from tools.abi import elf
from tools.abi.audit import OPTIONAL, Offender, audit
from tools.abi.demangle import demangle
from tools.abi.shim import Function

TARGET = (2, 10)

# manylinux_2_34: the oldest platform whose libraries have all that the toolchain's output asks for.
FLOORS = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)}

# Symbols that may be missing when the library is loaded, and why it works without.
WEAK = {
    "aoti_torch_get_current_cuda_stream": "only a torch with CUDA has it; CPU calls never need it",
    **{name: "the compiler's start-up code tests for it" for name in OPTIONAL},
}

EXPORTED = ("stablekv_build_info",)

_NEEDED = ("libtorch.so", "libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6")
# The CUDA runtime is linked in; its thread-local data asks the loader for addresses.
_NEEDED_WITH_CUDA = (*_NEEDED, "ld-linux-x86-64.so.2")

_BUILD_PATHS = (b"external/", b"bazel-out", b"execroot", b"/sandbox/", b"/root/", b"/home/")


def _difference(what: str, wanted: tuple[str, ...], got: tuple[str, ...]) -> list[str]:
    extra = [f"{what} has {name}, which is not promised" for name in sorted({*got} - {*wanted})]
    return extra + [f"{what} lacks {name}" for name in sorted({*wanted} - {*got})]


def _build_paths(data: bytes) -> list[str]:
    found = []
    for path in _BUILD_PATHS:
        match = re.search(re.escape(path) + rb"[\x20-\x7e]*", data)
        if match:
            before = re.search(
                rb"[\x20-\x7e]*\Z", data[max(0, match.start() - 200) : match.start()]
            )
            found.append(((before[0] if before else b"") + match[0]).decode())
    return [f"a path of the build is in the file: {text!r}" for text in found]


def violations(path: pathlib.Path, functions: Mapping[str, Function], *, cuda: bool) -> list[str]:
    """A line for each promise that the library at `path` breaks.

    Args:
      path: the library.
      functions: the C shim.
      cuda: whether the library was built with CUDA.

    Raises:
      elf.ElfError: when it is no shared library.
    """
    library = elf.read(path)
    result = audit(library, functions)
    offenders = [Offender(name, "bound to one torch") for name in result.unstable]
    offenders += [Offender(name, "bound to CPython") for name in result.python]
    offenders += [
        Offender(name, "not weak, so a torch without CUDA does not load the library")
        for name in result.cuda_strong
    ]
    offenders += [
        Offender(symbol.name, "weak, and nothing says how the library works without it")
        for symbol in library.undefined
        if symbol.weak and symbol.name not in WEAK
    ]
    offenders += [*result.unknown, *result.newer_than(TARGET), *result.above(FLOORS)]
    lines = [str(offender) for offender in offenders]
    if not result.shim:
        lines.append("uses no function of the C shim: no extension of torch")
    lines += _difference("DT_NEEDED", _NEEDED_WITH_CUDA if cuda else _NEEDED, library.needed)
    lines += [f"a search path is in the file: {folder}" for folder in library.paths]
    exported = tuple(demangle(symbol.name) for symbol in library.exported)
    lines += _difference("the list of exported symbols", EXPORTED, exported)
    return lines + _build_paths(path.read_bytes())
