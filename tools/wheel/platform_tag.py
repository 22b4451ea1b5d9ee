"""The platform tag of a wheel, computed from the versions of symbols that its libraries ask for.

manylinux_2_X promises glibc 2.X and the C++ runtime that systems of that age have (PEP 600). The
C++ runtimes by X are those of the policies of auditwheel, which PEP 600 names as the reference;
tests/wheel/test_platform_tag.py holds both against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tools.abi.audit import Version, audit, text_of
from tools.abi.elf import SharedLibrary

# From glibc 2.X on: the newest versions of the C++ runtime's libraries.
RUNTIMES: Mapping[int, Mapping[str, Version]] = {
    17: {"GLIBCXX": (3, 4, 19), "CXXABI": (1, 3, 7), "GCC": (4, 8, 0)},
    24: {"GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 10), "GCC": (4, 8, 0)},
    27: {"GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)},
    31: {"GLIBCXX": (3, 4, 28), "CXXABI": (1, 3, 12), "GCC": (7, 0, 0)},
    34: {"GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)},
    35: {"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12, 0, 0)},
    39: {"GLIBCXX": (3, 4, 33), "CXXABI": (1, 3, 15), "GCC": (14, 0, 0)},
}
# glibc's own marks that are no number, and the release that brought each.
_MARKS = {"GLIBC_ABI_DT_RELR": (2, 36)}


class TagError(ValueError):
    """The libraries are for no platform that has a tag."""


def _floors(library: SharedLibrary) -> dict[str, Version]:
    floors = dict(audit(library, {}).floors)
    for _, version in library.versions:
        if version in _MARKS:
            floors["GLIBC"] = max(floors.get("GLIBC", ()), _MARKS[version])
    return floors


def _glibc(floors: Mapping[str, Version]) -> int:
    """X of the oldest glibc 2.X whose system has all of `floors`."""
    own = floors.get("GLIBC", (2, 0))
    if own[0] != 2:
        raise TagError(f"glibc {text_of(own)}: manylinux tags know 2.X")
    for minor, runtime in RUNTIMES.items():
        if all(
            version <= runtime[family] for family, version in floors.items() if family in runtime
        ):
            return max(own[1], minor)
    newest = ", ".join(f"{family} {text_of(version)}" for family, version in floors.items())
    raise TagError(f"no platform in tools/wheel/platform_tag.py has {newest}")


def of(libraries: Iterable[SharedLibrary]) -> str:
    """`manylinux_2_34_x86_64`: the oldest platform that has what all of `libraries` need.

    Raises:
      TagError: there is none, or the libraries are of several machines.
    """
    libraries = list(libraries)
    machines = {library.machine for library in libraries}
    if len(machines) != 1:
        raise TagError(f"wanted libraries of one machine, got {sorted(machines)}")
    minor = max(_glibc(_floors(library)) for library in libraries)
    return f"manylinux_2_{minor}_{machines.pop()}"
