"""Runs the probe in a process of its own: loading a library that does not fit can end a process."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_SECONDS = 300  # the first use of CUDA can take long


@dataclasses.dataclass
class Probe:
    """What the child said: `values` and `errors` by stage; `death` says how it ended, if badly."""

    values: dict[str, Any]
    errors: dict[str, str]
    death: str


def run(modules: Sequence[str]) -> Probe:
    """Runs the probe with this interpreter; does not raise for what the child does."""
    command = [sys.executable, "-m", "stablekv.doctor.probe", *modules]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        text = output.decode(errors="replace") if isinstance(output, bytes) else output
        return read(text, f"did not end within {_SECONDS} s")
    except OSError as error:
        return Probe({}, {}, f"could not be started: {error}")
    return read(done.stdout, _ending(done))


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == 0:
        return ""
    last = done.stderr.strip().splitlines()[-1:]
    words = f": {last[0]}" if last else ""
    if done.returncode < 0:
        return f"was ended by {_name_of_signal(-done.returncode)}{words}"
    return f"ended with exit code {done.returncode}{words}"


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"


def _said(line: str) -> dict[str, Any]:
    """What the child says in a line; nothing where it is a module's, or cut by the child's end."""
    if not line.startswith('{"stablekv": '):
        return {}
    try:
        return json.loads(line)["stablekv"]
    except ValueError:
        return {}


def read(output: str, ending: str) -> Probe:
    """Sorts the child's lines; a stage that began and did not finish is where it died."""
    found = Probe({}, {}, "")
    begun = ""
    for line in output.splitlines():
        if said := _said(line):
            begun = said.get("begin", begun)
            if "value" in said:
                found.values[said["stage"]] = said["value"]
            elif "error" in said:
                found.errors[said["stage"]] = said["error"]
    if not ending and begun not in found.values and begun not in found.errors:
        ending = "ended with exit code 0 before it was done"  # a module may call os._exit
    if ending:
        at = f" at the stage {begun!r}" if begun else ""
        found.death = f"the process that imports torch and loads the library {ending}{at}"
    return found
