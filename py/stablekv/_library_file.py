"""The file that holds the operators: where it is, and which namespaces it is built for."""

from __future__ import annotations

import mmap
import os
import re
import struct
from pathlib import Path

LIBRARY_NAME = "_C_stable_libtorch.so"
LIBRARY_VARIABLE = "STABLEKV_LIBRARY"

# What the library says of itself (csrc/libtorch_stable/build_info.cc), as it lies in the file.
_NAMESPACES = re.compile(rb'"namespace": "(\w+)", "cache_namespace": "(\w+)"')
_DEFAULT = ("_C", "_C_cache_ops")


def find_library() -> Path:
    """The library that STABLEKV_LIBRARY names, or else the one beside this package.

    Raises:
        ImportError: there is no such file.
    """
    chosen = os.environ.get(LIBRARY_VARIABLE)
    path = Path(chosen) if chosen else Path(__file__).with_name(LIBRARY_NAME)
    if path.is_file():
        return path.resolve()
    if chosen:
        raise ImportError(f"stablekv: {LIBRARY_VARIABLE} names {chosen}, which is not a file")
    raise ImportError(
        f"stablekv: {path} is missing: this is a source tree without its built library; run it "
        f"through Bazel, install the wheel, or set {LIBRARY_VARIABLE} to a built {LIBRARY_NAME}"
    )


def check_whole(path: Path) -> None:
    """Raises ImportError if less of the library is there than its header says.

    Where a page of a library is missing the process ends by SIGBUS as soon as it is loaded.
    """
    with open(path, "rb") as file:
        header = file.read(64)
        size = os.fstat(file.fileno()).st_size
    if len(header) < 64 or header[:6] != b"\x7fELF\2\1":
        return  # the dynamic loader says what it is instead
    # A 64-bit ELF file ends with its section headers: where, of what size each, and how many.
    (start,), (each, count) = (
        struct.unpack_from("<Q", header, 40),
        struct.unpack_from("<HH", header, 58),
    )
    if size < start + each * count:
        raise ImportError(
            f"stablekv: {path} is cut short: it has {size} bytes of {start + each * count}",
            path=str(path),
        )


def namespaces() -> tuple[str, str]:
    """The namespaces of the attention and of the cache operators of the library.

    Read, not asked for: the library registers its operators as soon as it is loaded. Where there is
    no library, or the file is none of ours, those of a build without settings; loading then says
    what is wrong.
    """
    try:
        with open(find_library(), "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                found = _NAMESPACES.search(text)
                return (found[1].decode(), found[2].decode()) if found else _DEFAULT
    except (ImportError, OSError, ValueError):  # ValueError: an empty file
        return _DEFAULT
