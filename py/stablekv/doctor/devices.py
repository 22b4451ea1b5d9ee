"""The GPUs and their driver, as torch sees them, in the doctor's child process."""

from __future__ import annotations

import pathlib
import re
from typing import Any

_DRIVER_FILE = pathlib.Path("/proc/driver/nvidia/version")


def driver() -> str | None:
    """The version of the NVIDIA driver, "580.65.06"; None where there is none."""
    try:
        words = _DRIVER_FILE.read_text()
    except OSError:
        return None
    match = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", words)
    return match[0] if match else None


def find() -> dict[str, Any]:
    """The devices; `why_none` says in words why there are none. Needs torch.

    `driver_cuda` is the newest CUDA that the driver speaks, "13.0".
    """
    import torch

    found: dict[str, Any] = {"driver_cuda": None, "devices": [], "why_none": ""}
    if torch.version.cuda is None:
        found["why_none"] = f"torch {torch.__version__} is built without CUDA"
        return found
    found["driver_cuda"] = _cuda_of_driver(torch)
    if not torch.cuda.is_available():
        found["why_none"] = "torch finds no usable CUDA device"
        return found
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        found["devices"].append(
            {
                "index": index,
                "name": torch.cuda.get_device_name(index),
                "architecture": f"sm_{major}{minor}",
                "capability": [major, minor],
            }
        )
    return found


def _cuda_of_driver(torch: Any) -> str | None:
    try:
        number = torch._C._cuda_getDriverVersion()
    except (AttributeError, RuntimeError):
        return None
    return f"{number // 1000}.{number % 1000 // 10}" if number else None
