"""Reads a GGUF file: its metadata, and its tensors as float32.

Layout, all little-endian: "GGUF", version, number of tensors, number of metadata entries; the
entries; the name, shape, type and offset of each tensor; padding; the tensors' bytes. A shape is
stored fastest dimension first, that is, in the opposite order of torch's.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
import os
import struct
from typing import Any

import torch

_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_DEFAULT_ALIGNMENT = 32


@dataclasses.dataclass(frozen=True)
class _Format:
    """How one tensor type is stored: blocks of `elements` elements in `size` bytes."""

    name: str
    elements: int
    size: int


_FORMATS = {
    0: _Format("F32", 1, 4),
    1: _Format("F16", 1, 2),
    3: _Format("Q4_1", 32, 20),
    8: _Format("Q8_0", 32, 34),
}


@dataclasses.dataclass(frozen=True)
class _Entry:
    """Where a tensor is, and what."""

    shape: tuple[int, ...]
    format: _Format
    start: int  # bytes from the start of the file
    end: int


class GgufFile:
    """An open GGUF file. Tensors are read, and made float32, when they are asked for.

    Attributes:
        metadata: every entry by its name: numbers, strings, and lists of them.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the metadata and the list of tensors.

        Raises:
            OSError: the file cannot be opened.
            ValueError: it is not a whole GGUF file of version 2 or 3, or holds a type of tensor
                that is not read here.
        """
        self._entries: dict[str, _Entry] = {}
        self.metadata: dict[str, Any] = {}
        try:
            with open(path, "rb") as file:
                # Private and writable: torch warns of memory that it must not write to.
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            self._read_header()
        except (ValueError, struct.error) as error:
            raise ValueError(f"cannot read {os.fspath(path)} as GGUF: {error}") from error

    def names(self) -> list[str]:
        """The names of the tensors, in the order of the file."""
        return list(self._entries)

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor called `name`: float32, on the CPU, a copy.

        Raises:
            KeyError: there is no such tensor.
        """
        entry = self._entries[name]
        raw = torch.frombuffer(
            self._bytes, dtype=torch.uint8, count=entry.end - entry.start, offset=entry.start
        )
        return _to_float32(raw.view(-1, entry.format.size), entry.format).reshape(entry.shape)

    def _read_header(self) -> None:
        cursor = _Cursor(self._bytes)
        if self._bytes[:4] != b"GGUF":
            raise ValueError(f"it starts with {self._bytes[:4]!r}")
        cursor.position = 4
        version, num_tensors, num_entries = cursor.unpack("IQQ")
        if version not in (2, 3):
            raise ValueError(f"version {version}, not 2 or 3")
        for _ in range(num_entries):
            name = cursor.string()
            self.metadata[name] = cursor.value(cursor.unpack("I")[0])
        tensors = []
        for _ in range(num_tensors):
            name = cursor.string()
            (rank,) = cursor.unpack("I")
            shape = cursor.unpack(f"{rank}Q")[::-1]
            kind, offset = cursor.unpack("IQ")
            tensors.append((name, shape, kind, offset))
        alignment = self.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"general.alignment is {alignment!r}, not a whole number above 0")
        data = -(-cursor.position // alignment) * alignment
        for name, shape, kind, offset in tensors:
            self._entries[name] = _entry(name, shape, kind, data + offset, len(self._bytes))


class _Cursor:
    """Reads values one after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.position = 0

    def unpack(self, format_: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + format_, self._data, self.position)
        self.position += struct.calcsize("<" + format_)
        return values

    def string(self) -> str:
        (length,) = self.unpack("Q")
        start, self.position = self.position, self.position + length
        if self.position > len(self._data):
            raise ValueError("it ends inside a string")
        return self._data[start : self.position].decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.unpack(_scalar(kind))[0]
        kind, count = self.unpack("IQ")
        if kind in (_STRING, _ARRAY):
            return [self.value(kind) for _ in range(count)]
        return list(self.unpack(f"{count}{_scalar(kind)}"))


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"metadata of unknown type {kind}")
    return _SCALARS[kind]


def _entry(name: str, shape: tuple[int, ...], kind: int, start: int, file_size: int) -> _Entry:
    if kind not in _FORMATS:
        known = ", ".join(format_.name for format_ in _FORMATS.values())
        raise ValueError(f"tensor {name} is of type {kind}; only {known} are read here")
    format_ = _FORMATS[kind]
    if math.prod(shape) % format_.elements:
        raise ValueError(f"tensor {name} of shape {shape} is not whole blocks of {format_.name}")
    end = start + math.prod(shape) // format_.elements * format_.size
    if end > file_size:
        raise ValueError(f"it ends at byte {file_size}, inside tensor {name}")
    return _Entry(shape, format_, start, end)


def _to_float32(blocks: torch.Tensor, format_: _Format) -> torch.Tensor:
    """`blocks` is uint8 [number of blocks, bytes of a block]."""
    if format_.name == "F32":
        return blocks.clone().view(torch.float32)
    if format_.name == "F16":
        return blocks.clone().view(torch.float16).float()
    # In place, because fresh memory costs more here than the arithmetic.
    values = torch.empty(len(blocks), format_.elements)
    scale = blocks[:, :2].clone().view(torch.float16).float()
    if format_.name == "Q8_0":  # scale, then 32 signed bytes
        return values.copy_(blocks[:, 2:].view(torch.int8)).mul_(scale)
    # Q4_1: scale, minimum, then 16 bytes: elements 0-15 in the low halves, 16-31 in the high ones.
    minimum = blocks[:, 2:4].clone().view(torch.float16).float()
    values[:, :16] = blocks[:, 4:] & 15
    values[:, 16:] = blocks[:, 4:] >> 4
    return values.mul_(scale).add_(minimum)
