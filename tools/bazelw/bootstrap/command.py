"""Makes a private Bazel in a folder of the user's, once, whoever else is asking for it too.

Or saves what it is made of, for a machine that cannot fetch it.
"""

import argparse
import errno
import fcntl
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError

import folders
import interruption
import recipe
from report import StepError, megabytes, say

# Bazel's own code for "local environmental issue": no build was tried.
_EXIT_FAILED = 36
_ROOM = 900 * 10**6  # bytes: the packages and, beside them, what they unpack to


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bazelw is making the private Bazel: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_place(prefix: Path) -> None:
    if Path("/tmp") in prefix.resolve().parents:
        raise StepError(
            f"{prefix} lies under /tmp, which Bazel's sandbox hides from the programs it starts,\n"
            "its own among them: set XDG_CACHE_HOME to a folder elsewhere"
        )


_APT = ("apt-get", "apt-cache", "dpkg")
_UNPACK = ("dpkg-deb",)


def _check_machine(folder: Path, tools: tuple[str, ...]) -> None:
    """Refuses at once what would fail later."""
    if sys.version_info < (3, 11):
        raise StepError(f"python 3.11 or later is needed, {sys.executable} is older")
    for tool in tools:
        if shutil.which(tool) is None:
            raise StepError(f"{tool} is not on PATH; it is made from Debian's packages, with apt")
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        raise StepError(f"{folder} has {megabytes(free)} free, wanted {megabytes(_ROOM)}")


def _clean(prefix: Path) -> None:
    """Removes what an interrupted run left; called under the lock, so nobody is using it."""
    for left in [*prefix.parent.glob("*.partial"), prefix]:
        if left.exists():
            folders.remove(left)


def _mention_older(prefix: Path) -> None:
    older = [str(p.parent) for p in prefix.parent.glob("*/ready") if p.parent != prefix]
    if older:
        say("no longer used by this checkout, you may delete: " + " ".join(older))


def _save(version: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        say(f"saving what a private Bazel is made of in {folder}")
        _check_machine(folder, _APT)
        recipe.save(version, folder)


def _make_once(version: str, prefix: Path, offline: Path | None) -> None:
    start = time.monotonic()
    _check_place(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with _alone(prefix.parent):
        if (prefix / "ready").exists():
            return
        say(f"no Bazel 7 on PATH: making a private one in {prefix}")
        _clean(prefix)
        _check_machine(prefix.parent, _UNPACK if offline else _APT + _UNPACK)
        recipe.make(version, prefix, offline)
        _mention_older(prefix)
    say(f"done in {time.monotonic() - start:.0f} s")


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error}: set XDG_CACHE_HOME to a folder that can be written to"
    return str(error)


def run_command() -> int:
    """Runs the command line and returns the exit code, with the reason said if it is not 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prefix", type=Path, help="where to make a Bazel")
    what.add_argument("--save", type=Path, help="where to put what it is made of")
    parser.add_argument("--offline", type=Path, help="make it of what was saved here")
    flags = parser.parse_args()
    interruption.install()
    try:
        if flags.save:
            _save(flags.version, flags.save)
        else:
            _make_once(flags.version, flags.prefix, flags.offline)
    except (KeyboardInterrupt, StepError, OSError, SubprocessError) as error:
        # A child that got the same signal may be heard of first, as one that failed.
        if isinstance(error, KeyboardInterrupt) or interruption.happened():
            say("interrupted; fetched packages are kept, and used by the next run")
            return interruption.EXIT_CODE
        say(f"cannot make a private Bazel: {_explain(error)}")
        say("a bazel 7 or a bazelisk on PATH, or one named in STABLEKV_BAZEL, is used instead")
        return _EXIT_FAILED
    return 0
