"""Puts the doctor's report together and draws the conclusions."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from stablekv._requirements import MINIMUM_TORCH
from stablekv._version import __version__
from stablekv.doctor import architectures, child, devices, operators, revision, versions

_PACKAGE = pathlib.Path(__file__).absolute().parent.parent

Report = dict[str, Any]


def make(modules: Sequence[str] = ()) -> Report:
    """The whole report; never raises.

    Args:
      modules: names of modules to import before the library.

    Returns:
      "ok", "problems" and "notes" in words, then a part a subject. What could not be found out is
      None, and a problem or a note says why.
    """
    probe = _try(lambda: child.run(modules), lambda words: child.Probe({}, {}, words))
    found: Report = {
        "ok": False,
        "problems": [],
        "notes": [],
        "stablekv": {"version": __version__, "folder": str(_PACKAGE)}
        | _try(lambda: revision.find(_PACKAGE), revision.unknown),
        "python": _try(versions.of_python, _error),
        "system": _try(versions.of_system, _error),
        "torch": _torch(probe),
        "library": _library(probe),
        "operators": probe.values.get("operators"),
        "clashes": probe.values.get("clashes"),
        "modules": probe.values.get("modules", []),
        "cuda": _cuda(probe),
    }
    found["problems"] = _problems(found, probe)
    found["notes"] = _notes(found)
    found["ok"] = not found["problems"]
    return found


def _try(call: Callable[[], Any], otherwise: Callable[[str], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # a doctor that falls ill helps nobody
        return otherwise(f"{type(error).__name__}: {error}")


def _error(words: str) -> dict[str, Any]:
    return {"error": words}


def _torch(probe: child.Probe) -> dict[str, Any]:
    seen = probe.values.get("torch", {})
    installed = _try(lambda: versions.of_package("torch"), lambda words: None)
    return {
        "version": seen.get("version", installed),
        "minimum": ".".join(map(str, MINIMUM_TORCH)),
        "cuda": seen.get("cuda"),
        "file": seen.get("file"),
        "error": probe.errors.get("torch"),
    }


def _library(probe: child.Probe) -> dict[str, Any]:
    seen = probe.values.get("library", {})
    build = seen.get("build", {})
    codes = build.get("cuda_archs", "")
    return {
        "loaded": "library" in probe.values,
        "path": seen.get("path"),
        "error": probe.errors.get("library"),
        "torch_target": build.get("torch_target"),
        "torch_headers": build.get("torch_headers"),
        "built_with_cuda": build.get("cuda"),
        "architectures": codes.split(",") if codes else [],
        "cuda": build.get("cuda_version") or None,
        "namespaces": [build[key] for key in ("namespace", "cache_namespace") if key in build],
    }


def _cuda(probe: child.Probe) -> dict[str, Any]:
    seen = probe.values.get("cuda", {})
    codes = _library(probe)["architectures"]
    return {
        "driver": _try(devices.driver, lambda words: None),
        "driver_cuda": seen.get("driver_cuda"),
        "error": probe.errors.get("cuda"),
        "why_none": seen.get("why_none", probe.errors.get("cuda", "torch was not asked")),
        "devices": [
            {**device, "runs": architectures.for_device(codes, tuple(device["capability"]))}
            for device in seen.get("devices", [])
        ],
    }


def _problems(found: Report, probe: child.Probe) -> list[str]:
    torch, library, cuda = found["torch"], found["library"], found["cuda"]
    problems = []
    if torch["error"]:
        problems.append(
            f"torch cannot be imported, and stablekv needs torch >= {torch['minimum']}: "
            + torch["error"]
        )
    problems += [
        f"module {module['module']} cannot be imported: {module['error']}"
        for module in found["modules"]
        if module["error"]
    ]
    if probe.death:
        problems.append(probe.death)
    if "clashes" in probe.errors:
        problems.append(
            f"operators of the same names cannot be looked for: {probe.errors['clashes']}"
        )
    if library["error"]:
        problems.append(f"the library does not load: {library['error']}")
    if library["loaded"]:
        if "operators" in probe.errors:
            problems.append(f"the operators cannot be listed: {probe.errors['operators']}")
        present = bool(library["built_with_cuda"])
        problems += operators.lacking(found["operators"] or {}, cuda=present)
        if library["built_with_cuda"]:
            problems += [
                f"device {device['index']} ({device['name']}) is {device['architecture']}, and the "
                f"library has GPU code for {', '.join(library['architectures'])} alone: every call "
                "on it will fail"
                for device in cuda["devices"]
                if device["runs"] is None
            ]
            problems += _too_old_a_driver(library, cuda)
        elif cuda["devices"]:
            problems.append(
                "there is a CUDA device, and this library is built without CUDA: calls on it fail"
            )
    if cuda["error"]:
        problems.append(f"the CUDA devices cannot be listed: {cuda['error']}")
    return problems


def _too_old_a_driver(library: dict[str, Any], cuda: dict[str, Any]) -> list[str]:
    """Machine code needs a driver for its major version of CUDA, and PTX one for its minor too."""
    needed, spoken = library["cuda"], cuda["driver_cuda"]
    if not needed or not spoken or not cuda["devices"]:
        return []
    words = (
        f"the driver speaks CUDA up to {spoken}, and the library's GPU code is of CUDA {needed}: "
    )
    if _number(spoken) >= _number(needed):
        return []
    if _number(spoken)[0] < _number(needed)[0]:
        return [f"{words}every call on a GPU will fail until the driver is updated"]
    return [
        f"{words}device {device['index']} ({device['name']}) needs its PTX, which this driver "
        "cannot compile"
        for device in cuda["devices"]
        if device["runs"] and device["runs"].startswith("compute_")
    ]


def _number(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _notes(found: Report) -> list[str]:
    cuda = found["cuda"]
    notes = []
    if not cuda["devices"] and not cuda["error"]:
        notes.append(f"operators run on the CPU alone: {cuda['why_none']}")
        if cuda["driver"]:
            notes.append(f"there is an NVIDIA driver, {cuda['driver']}, all the same")
    for name, version in _try(versions.rivals, lambda words: {}).items():
        notes.append(
            f"{name} {version} is installed: it may register operators of the same names, and only "
            f"one of both can be in a process; --with {name} tries it"
        )
    return notes
