"""The report as text for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2)


def as_text(found: dict[str, Any]) -> str:
    """A line a fact, the operators as a table, then what is wrong."""
    lines = [f"{name + ':':<14}{value}" for name, value in _facts(found)]
    lines += _table(found["operators"])
    lines += [f"note: {note}" for note in found["notes"]]
    lines += [f"PROBLEM: {problem}" for problem in found["problems"]]
    return "\n".join([*lines, "all is well" if found["ok"] else "not well: see above"])


def _or(value: object, otherwise: str = "unknown") -> str:
    return otherwise if value in (None, "", []) else str(value)


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own, torch, library, cuda = (found[k] for k in ("stablekv", "torch", "library", "cuda"))
    yield "stablekv", f"{own['version']}, {own['folder']}"
    dirty = {True: ", with changes that are not committed", False: "", None: ""}[own["dirty"]]
    yield "git revision", f"{_or(own['revision'])}{dirty} ({own['source']})"
    yield "python", " ".join(map(str, found["python"].values()))
    yield "system", ", ".join(filter(None, map(str, found["system"].values())))
    torch_cuda = f", CUDA {torch['cuda']}" if torch["cuda"] else ""
    yield "torch", f"{_or(torch['version'], 'none')}{torch_cuda} (at least {torch['minimum']})"
    yield "library", _or(library["path"], "not loaded")
    if library["loaded"]:
        yield (
            "built for",
            f"torch >= {library['torch_target']}, as {', '.join(library['namespaces'])}",
        )
        yield "built with", f"the headers of torch {library['torch_headers']}"
        by = f", of CUDA {library['cuda']}" if library["cuda"] else ""
        yield "GPU code", ", ".join(library["architectures"]) + by or "none: built without CUDA"
    speaks = f", for CUDA {cuda['driver_cuda']} and older" if cuda["driver_cuda"] else ""
    yield "driver", f"{_or(cuda['driver'], 'none')}{speaks}"
    for device in cuda["devices"]:
        runs = f"runs {device['runs']}" if device["runs"] else "runs none of the library's code"
        what = f"{device['name']}, {device['architecture']}, {runs}"
        yield f"device {device['index']}", what
    if found["clashes"] is not None:
        yield "clashes", ", ".join(found["clashes"]) or "none"
    for module in found["modules"]:
        yield "imported", f"{module['module']} {module['error'] or ''}".strip()


def _table(operators: dict[str, dict[str, bool]] | None) -> list[str]:
    if not operators:
        return []
    backends = list(next(iter(operators.values())))
    width = max(map(len, operators)) + 2
    lines = ["operator".ljust(width) + "  ".join(backends)]
    for name, has in operators.items():
        marks = ("yes" if has[backend] else "no" for backend in backends)
        cells = (mark.ljust(len(b)) for mark, b in zip(marks, backends, strict=True))
        lines.append(name.ljust(width) + "  ".join(cells).rstrip())
    return lines
