"""What can only be seen by importing torch and loading the library: the doctor's child process.

    python -m stablekv.doctor.probe [MODULE ...]

Each stage prints one line of JSON as soon as it is done, so that a process that dies has said how
far it came. A stage that raises prints the error in words, and those after it still run.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from stablekv.doctor import devices, operators


def run(modules: Sequence[str]) -> None:
    """Runs the stages; `modules` are imported before the library."""
    stages: list[tuple[str, Callable[[], Any]]] = [
        ("torch", _torch),
        ("modules", lambda: _import_all(modules)),
        ("clashes", _clashes),
        ("library", _library),
        ("operators", _operators),
        ("cuda", devices.find),
    ]
    for name, stage in stages:
        _say({"begin": name})
        try:
            _say({"stage": name, "value": stage()})
        except BaseException as error:
            _say({"stage": name, "error": f"{type(error).__name__}: {error}"})
            if name == "torch":
                return  # nothing below can be asked


def _say(line: dict[str, Any]) -> None:
    # Whatever a module prints while it is imported must not share a line with this.
    print("\n" + json.dumps({"stablekv": line}), flush=True)


def _torch() -> dict[str, Any]:
    import torch

    return {"version": torch.__version__, "cuda": torch.version.cuda, "file": torch.__file__}


def _import_all(modules: Sequence[str]) -> list[dict[str, Any]]:
    """As in any other process: one that imports stablekv gets all of it, loaded.

    This process has it without its library, and keeps it like that where none imports it.
    """
    without_library = _take_package()
    try:
        return [_import(module) for module in modules]
    finally:
        if "stablekv" not in sys.modules:
            _take_package()  # what is left of it after a failure
            sys.modules.update(without_library)


def _take_package() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.split(".")[0] == "stablekv"]
    return {name: sys.modules.pop(name) for name in names}


def _import(module: str) -> dict[str, Any]:
    try:
        importlib.import_module(module)
    except BaseException as error:
        return {"module": module, "error": f"{type(error).__name__}: {error}"}
    return {"module": module, "error": None}


def _clashes() -> list[str]:
    from stablekv import _loader

    return _loader.registered_by_others()


def _library() -> dict[str, Any]:
    from stablekv import _loader

    path = _loader.load()
    function = ctypes.CDLL(str(path)).stablekv_build_info
    function.restype = ctypes.c_char_p
    return {"path": str(path), "build": json.loads(function())}


def _operators() -> dict[str, dict[str, bool]]:
    from stablekv import fakes

    fakes.register()
    return operators.table()


if __name__ == "__main__":
    run(sys.argv[1:])
