"""Ctrl-C, `kill` and a closed terminal: the first ends the run in order, a second one at once."""

import os
import signal

EXIT_CODE = 130

_seen = False


def happened() -> bool:
    """Whether one of these signals has come."""
    return _seen


def _interrupt(*_: object) -> None:
    global _seen
    if _seen:
        os._exit(EXIT_CODE)
    _seen = True
    raise KeyboardInterrupt


def install() -> None:
    """Turns these signals, unless they are to be ignored, into a KeyboardInterrupt."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
