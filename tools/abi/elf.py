"""Reads what a shared library says to the loader: names it needs, names it offers, its libraries.

Field names and numbers: the System V ABI's ELF chapters, and the Linux Standard Base for versions.
"""

from __future__ import annotations

import dataclasses
import pathlib
import struct

_SECTION_DYNAMIC, _SECTION_DYNSYM = 6, 11
_SECTION_VERNEED, _SECTION_VERSYM = 0x6FFFFFFE, 0x6FFFFFFF
_TAG_NEEDED, _TAG_SONAME, _TAG_RPATH, _TAG_RUNPATH = 1, 14, 15, 29
_BIND_LOCAL, _BIND_WEAK = 0, 2
_UNDEFINED = 0
_MACHINES = {62: "x86_64", 183: "aarch64"}
_VERSION_MASK = 0x7FFF  # the top bit of a symbol's version says "hidden"


class ElfError(ValueError):
    """The file is no shared library that this reader knows."""


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A dynamic symbol: `version` is wanted of `library`, both empty where it has none."""

    name: str
    weak: bool
    library: str = ""
    version: str = ""


@dataclasses.dataclass(frozen=True)
class SharedLibrary:
    """What the dynamic section says; `path` entries are DT_RPATH and DT_RUNPATH.

    `machine` is as `uname -m` says it.
    """

    machine: str
    soname: str
    needed: tuple[str, ...]
    paths: tuple[str, ...]
    undefined: tuple[Symbol, ...]
    exported: tuple[Symbol, ...]
    versions: tuple[tuple[str, str], ...]  # (library, version)


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: int
    data: bytes
    link: int


def _sections(data: bytes) -> list[_Section]:
    if data[:4] != b"\x7fELF":
        raise ElfError("no ELF file")
    if data[4:6] != b"\x02\x01":
        raise ElfError("not 64 bits, little endian")
    offset = struct.unpack_from("<Q", data, 40)[0]
    size, count = struct.unpack_from("<HH", data, 58)
    sections = []
    for index in range(count):
        _, kind, _, _, start, length, link = struct.unpack_from(
            "<IIQQQQI", data, offset + index * size
        )
        sections.append(_Section(kind, data[start : start + length], link))
    return sections


def _text(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _needed_versions(section: _Section, strings: bytes) -> dict[int, tuple[str, str]]:
    """Version number in the symbol table -> (library, version)."""
    versions = {}
    need = 0
    while True:
        _, count, file, aux, following = struct.unpack_from("<HHIII", section.data, need)
        entry = need + aux
        for _ in range(count):
            _, _, number, name, step = struct.unpack_from("<IHHII", section.data, entry)
            versions[number & _VERSION_MASK] = (_text(strings, file), _text(strings, name))
            entry += step
        if not following:
            return versions
        need += following


def _parse(data: bytes) -> SharedLibrary:
    sections = _sections(data)
    by_kind = {section.kind: section for section in sections}
    if _SECTION_DYNAMIC not in by_kind or _SECTION_DYNSYM not in by_kind:
        raise ElfError("no dynamic section: not a shared library")
    dynamic, table = by_kind[_SECTION_DYNAMIC], by_kind[_SECTION_DYNSYM]
    strings = sections[table.link].data
    entries = list(struct.iter_unpack("<qQ", dynamic.data))

    def texts(*tags: int) -> tuple[str, ...]:
        return tuple(_text(strings, value) for tag, value in entries if tag in tags)

    versions: dict[int, tuple[str, str]] = {}
    if _SECTION_VERNEED in by_kind:
        versions = _needed_versions(by_kind[_SECTION_VERNEED], strings)
    numbers = by_kind[_SECTION_VERSYM].data if _SECTION_VERSYM in by_kind else b""

    undefined, exported = [], []
    for index, entry in enumerate(struct.iter_unpack("<IBBHQQ", table.data)):
        name, info, _, section, _, _ = entry
        if not name or info >> 4 == _BIND_LOCAL:
            continue
        number = struct.unpack_from("<H", numbers, 2 * index)[0] if numbers else 0
        library, version = versions.get(number & _VERSION_MASK, ("", ""))
        symbol = Symbol(_text(strings, name), info >> 4 == _BIND_WEAK, library, version)
        (undefined if section == _UNDEFINED else exported).append(symbol)
    machine = struct.unpack_from("<H", data, 18)[0]
    return SharedLibrary(
        machine=_MACHINES.get(machine, f"machine {machine}"),
        soname="".join(texts(_TAG_SONAME)),
        needed=texts(_TAG_NEEDED),
        paths=texts(_TAG_RPATH, _TAG_RUNPATH),
        undefined=tuple(sorted(undefined, key=lambda symbol: symbol.name)),
        exported=tuple(sorted(exported, key=lambda symbol: symbol.name)),
        versions=tuple(sorted(versions.values())),
    )


def read(path: pathlib.Path) -> SharedLibrary:
    """Reads a shared library of a 64-bit little-endian machine.

    Raises:
      ElfError: when `path` is anything else, or cut short.
    """
    try:
        return _parse(path.read_bytes())
    except (struct.error, ValueError, IndexError) as error:
        raise ElfError(f"{path}: {error}") from error
