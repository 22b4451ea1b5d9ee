"""Which GPU code runs on which GPU.

Source: the CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility" and
"Family-Specific Features".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CODE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


def runs_on(code: str, capability: tuple[int, int]) -> bool:
    """Whether `code`, "sm_90a" (machine code) or "compute_120" (PTX), runs on a device.

    Args:
      code: as nvcc names it.
      capability: the device's compute capability, (9, 0).
    """
    match = _CODE.fullmatch(code)
    if match is None:
        return False
    kind, major, minor, suffix = match[1], int(match[2]), int(match[3]), match[4]
    if suffix == "a":  # one architecture
        return (major, minor) == capability
    same_major = major == capability[0] and minor <= capability[1]
    if suffix == "f" or kind == "sm":  # one family; one major version from a minor one on
        return same_major
    return (major, minor) <= capability


def for_device(codes: Iterable[str], capability: tuple[int, int]) -> str | None:
    """The code that the device runs: the nearest machine code, or else the newest PTX, or None."""
    fitting = [code for code in codes if runs_on(code, capability)]
    newest = sorted(fitting, key=lambda code: (code.startswith("sm_"), _number(code)))
    return newest[-1] if newest else None


def _number(code: str) -> tuple[int, int]:
    match = _CODE.fullmatch(code)
    assert match is not None
    return int(match[2]), int(match[3])
