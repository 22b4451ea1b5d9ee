"""What the person at the terminal sees: phases, progress and errors, all on stderr."""

import sys
import time


class StepError(Exception):
    """A step failed in a way the user can understand: what failed, and what to do about it."""


def say(text: str) -> None:
    """Prints one line."""
    print(f"bazelw: {text}", file=sys.stderr, flush=True)


def megabytes(count: int) -> str:
    """A byte count for people, in units of 10**6 bytes."""
    return f"{count / 1e6:.0f} MB"


class Progress:
    """A counter that redraws one line on a terminal and prints every tenth part elsewhere."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = max(total, 1)
        self._live = sys.stderr.isatty()
        self._shown = -1
        self._drawn = 0.0

    def update(self, done: int, note: str) -> None:
        """Shows that `done` of the total is reached; `note` says it in the user's units."""
        percent = min(100, 100 * done // self._total)
        line = f"bazelw:       {self._what} {percent:3d} %  {note}"
        if self._live:
            now = time.monotonic()
            if percent == self._shown and now - self._drawn < 0.2:
                return
            self._drawn = now
            end = "\n" if percent == 100 and percent != self._shown else ""
            print(f"\r{line}\x1b[K", end=end, file=sys.stderr, flush=True)
        elif percent // 10 > max(self._shown, 0) // 10:
            print(line, file=sys.stderr, flush=True)
        self._shown = max(self._shown, percent)
