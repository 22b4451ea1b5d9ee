"""Versions that can be read without importing anything: Python, the system, installed packages."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

# Packages that register operators of the same names, as published.
_RIVALS = ("vllm",)


def of_python() -> dict[str, Any]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
    }


def of_system() -> dict[str, Any]:
    """`c_library` is "glibc 2.36", or empty where it is another one."""
    return {
        "platform": f"{platform.system().lower()} {platform.machine()}",
        "c_library": " ".join(platform.libc_ver()).strip(),
    }


def of_package(name: str) -> str | None:
    """The installed version by the package's own metadata; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def rivals() -> dict[str, str]:
    """Installed packages that stablekv cannot share a process with, unless built for that."""
    found = {name: of_package(name) for name in _RIVALS}
    return {name: version for name, version in found.items() if version is not None}
