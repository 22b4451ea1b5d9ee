"""Child processes that die with this one, so that nothing of an interrupted run stays behind."""

import ctypes
import signal
import subprocess
from collections.abc import Sequence

from report import StepError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command: Sequence[str], **options) -> subprocess.Popen:
    """Starts `command` with its standard output as a text pipe."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_die_with_parent,
        **options,
    )


def output(command: Sequence[str], what: str) -> str:
    """Runs `command` and returns its standard output; StepError("`what` failed ...") otherwise."""
    with start(command, stderr=subprocess.PIPE) as child:
        out, err = child.communicate()
    if child.returncode != 0:
        raise StepError(f"{what} failed (exit code {child.returncode}):\n{(err or out).strip()}")
    return out
