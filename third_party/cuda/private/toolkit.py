"""Asks a CUDA toolkit what it is: its release, the GPUs it compiles for, the newest GCC it takes.

Runs in a repository rule: standard library only. So a new release is a lock and nothing more.
"""

import json
import pathlib
import re
import subprocess
import sys


class ToolkitError(Exception):
    """The toolkit does not say what is asked, in the way that is known."""


def _ask(nvcc: pathlib.Path, question: str) -> str:
    done = subprocess.run([nvcc, question], capture_output=True, text=True)
    if done.returncode:
        raise ToolkitError(f"nvcc {question} failed: {done.stderr.strip()}")
    return done.stdout


def _find(pattern: str, text: str, what: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise ToolkitError(f"no {what} was found ({pattern!r})")
    return found[1]


def architectures(listing: str) -> list[str]:
    """What may follow `sm_`, from the words of `nvcc --list-gpu-code`: `75`, ..., `90`, `90a`, ...

    nvcc lists base numbers only. From 9.0 on there is a suffix `a`, code for that one architecture,
    and from 10.0 on `f`, code for its family (CUDA C++ Programming Guide, feature sets).
    """
    numbers = sorted({int(number) for number in re.findall(r"\bsm_(\d+)\b", listing)})
    if not numbers:
        raise ToolkitError(f"nvcc --list-gpu-code lists no GPU: {listing.strip()!r}")
    suffixes = {n: ("", "a", "f") if n >= 100 else ("", "a") if n >= 90 else ("",) for n in numbers}
    return [f"{number}{suffix}" for number in numbers for suffix in suffixes[number]]


def newest_gcc(host_config: str) -> int:
    """The major version that crt/host_config.h refuses the successors of."""
    return int(_find(r"#if __GNUC__ > (\d+)", host_config, "limit for GCC in crt/host_config.h"))


def describe(root: pathlib.Path) -> dict:
    """Returns version, archs and newest_gcc of the toolkit in `root`; raises ToolkitError."""
    nvcc = root / "bin/nvcc"
    return {
        "archs": architectures(_ask(nvcc, "--list-gpu-code")),
        "newest_gcc": newest_gcc((root / "include/crt/host_config.h").read_text()),
        "version": _find(r"release (\d+\.\d+)", _ask(nvcc, "--version"), "release of nvcc"),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(describe(pathlib.Path(sys.argv[1]))))
    except (ToolkitError, OSError) as error:
        sys.exit(str(error))
