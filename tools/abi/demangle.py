"""Readable names of C++ symbols, from the C++ runtime that torch itself needs."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _runtime() -> Callable[[bytes], str | None] | None:
    try:
        cxx, c = ctypes.CDLL("libstdc++.so.6"), ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    function = cxx.__cxa_demangle
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_char_p, *[ctypes.c_void_p] * 3]
    c.free.argtypes = [ctypes.c_void_p]

    def demangle(name: bytes) -> str | None:
        text = function(name, None, None, None)
        if not text:
            return None
        readable = ctypes.string_at(text).decode()
        c.free(text)
        return readable

    return demangle


def demangle(name: str) -> str:
    """`_ZN3c105ErrorD1Ev` -> `c10::Error::~Error()`; what cannot be read stays as it is."""
    runtime = _runtime()
    if not name.startswith("_Z") or runtime is None:
        return name
    return runtime(name.encode()) or name
