"""Child processes that die with this one, so that nothing of an interrupted run stays behind."""

import ctypes
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from report import StepError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def start(command: Sequence[str], **options: Any) -> subprocess.Popen:
    """Starts `command`; `options` are Popen's. Call it from the main thread only."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, text=True, preexec_fn=_die_with_parent, **options
    )


def output(command: Sequence[str], what: str, seconds: float | None = None, **options: Any) -> str:
    """Runs `command` and returns its standard output.

    Raises StepError("`what` failed ...") for another exit code than 0, or after `seconds`.
    """
    with start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as child:
        try:
            out, err = child.communicate(timeout=seconds)
        except BaseException as error:
            child.terminate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise StepError(f"{what} gave no answer in {seconds:.0f} s") from error
            raise
    if child.returncode != 0:
        raise StepError(f"{what} failed (exit code {child.returncode}):\n{(err or out).strip()}")
    return out
