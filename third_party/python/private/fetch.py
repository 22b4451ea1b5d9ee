"""Installs the packages of a lock, each into its own folder: the work of `pip_repository`.

Runs in a repository rule, before any package exists: standard library only.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple


class Requirement(NamedTuple):
    """One requirement of a lock: `line` is all of it, hashes included."""

    target: str
    version: str
    line: str


def read_lock(path: pathlib.Path) -> list[Requirement]:
    """Returns the requirements of a lock; what is not one version of one package is refused."""
    requirements: dict[str, Requirement] = {}
    for number, line in _logical_lines(path.read_text()):
        pin, separator, _ = line.partition(" --hash=sha256:")
        name, pinned, version = pin.replace(" ", "").partition("==")
        target = target_of(name)
        if not separator or not pinned:
            wrong = "not pinned by version and sha256"
        elif ";" in pin:
            wrong = "wanted no condition: a lock is for one Python on one system"
        elif "[" in name:
            wrong = "wanted no extra: its packages are lines of their own"
        elif target in requirements:
            wrong = f"wanted one version of {name}, and this is a second line of it"
        else:
            requirements[target] = Requirement(target, version, line)
            continue
        raise SystemExit(f"{path}:{number}: {wrong}: {pin}")
    return list(requirements.values())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """What pip takes for one line, with the number of its first; no comments, no empty ones."""
    words: list[str] = []
    first = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first if words else number
        words += re.sub(r"(^|\s)#.*", "", line.removesuffix("\\")).split()
        if words and not line.endswith("\\"):
            yield first, " ".join(words)
            words = []


def environment(**added: str) -> dict[str, str]:
    """The caller's variables, but for Python's own: PYTHONPATH would bring other packages."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | added


def pip_environment(**added: str) -> dict[str, str]:
    """For a pip that reads a lock: no limits on versions but the lock's, no place but ours."""
    ours = {"PIP_CONSTRAINT": os.devnull, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0"}
    places = ("PIP_PREFIX", "PIP_ROOT", "PIP_TARGET")
    return {k: v for k, v in environment().items() if k not in places} | ours | added


def pip_command() -> list[str]:
    """The interpreter's own pip, or else the wheel of pip that STABLEKV_PIP names."""
    wheel = os.environ.get("STABLEKV_PIP")
    commands = [["-m", "pip"], *([[f"{wheel}/pip"]] if wheel else [])]
    for arguments in commands:
        command = [sys.executable, "-B", *arguments]
        asked = subprocess.run([*command, "--version"], capture_output=True, env=environment())
        if asked.returncode == 0:
            return command
    raise SystemExit(f"{sys.executable} has no pip. On Debian: apt-get install python3-pip")


def install(pip: list[str], requirement: str, target: pathlib.Path, compiled: bool) -> str:
    """Installs one requirement; returns pip's words when it fails, else an empty string."""
    command = [*pip, "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", "--progress-bar=off"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
    command += ["--ignore-installed", f"--target={target}"]
    wheelhouse = os.environ.get("STABLEKV_WHEELHOUSE")
    if wheelhouse:
        command += ["--no-index", f"--find-links={wheelhouse}"]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        lock = pathlib.Path(scratch, "requirement.txt")
        lock.write_text(requirement + "\n")
        # pip unpacks into TMPDIR first: on the same file system the move is free.
        done = subprocess.run(
            [*command, f"--requirement={lock}"],
            env=pip_environment(TMPDIR=scratch),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if done.returncode:
        return done.stdout
    if compiled:
        compile_sources(target)
    return ""


def compile_sources(target: pathlib.Path) -> None:
    """Makes byte code, which programs would otherwise make anew at every start.

    It names no folder and holds a hash in place of a time, so it is the same everywhere. A source
    that does not compile (some packages carry templates) is left to whoever imports it.
    """
    command = [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    subprocess.run(
        [*command, "-s", str(target), str(target)],
        env=environment(),
        stdout=subprocess.DEVNULL,
    )


def target_of(name: str) -> str:
    """The folder and target of a package: lower case, underscores."""
    return re.sub(r"[-_.]+", "_", name.lower())


def required_targets(site: pathlib.Path, targets: set[str]) -> dict[str, set[str]]:
    """Returns, for each package, the packages of this lock that its metadata requires."""
    requires = {}
    for target in targets:
        named = set()
        for metadata in (site / target).glob("*.dist-info/METADATA"):
            for line in metadata.read_text(errors="replace").splitlines():
                if not line:
                    break  # the description begins
                # An extra is something that nobody asked for here.
                if line.startswith("Requires-Dist:") and "extra ==" not in line:
                    named.add(target_of(re.match(r"[\w.-]+", line.split(":", 1)[1].strip())[0]))
        requires[target] = named & targets - {target}
    return requires


def describe(requirements: list[Requirement], requires: dict[str, set[str]]) -> dict[str, dict]:
    """What a BUILD file says of each package.

    Packages that require each other are no dependencies of each other, which Bazel refuses: each
    holds the folders of all of them, and requires what they do besides.
    """
    reached = {target: _reached_from(target, requires) for target in requires}
    described = {}
    for target, version, _ in requirements:
        folders = {target} | {other for other in reached[target] if target in reached[other]}
        needed = set().union(*(requires[folder] for folder in folders)) - folders
        described[target] = {
            "folders": sorted(folders),
            "requires": sorted(needed),
            "version": version,
        }
    return described


def _reached_from(target: str, requires: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    left = [target]
    while left:
        for other in requires[left.pop()] - reached:
            reached.add(other)
            left.append(other)
    return reached


def remove_stray_build_files(site: pathlib.Path) -> None:
    """A BUILD file inside a wheel would cut its folder out of ours."""
    for name in ("BUILD", "BUILD.bazel", "WORKSPACE", "WORKSPACE.bazel", "MODULE.bazel"):
        for path in site.rglob(name):
            if path.is_file():
                path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--title", required=True)
    parser.add_argument("--lock", type=pathlib.Path, required=True)
    parser.add_argument("--site", type=pathlib.Path, required=True)
    parser.add_argument("--merge", action="store_true", help="install all into one folder")
    parser.add_argument(
        "--packages", type=pathlib.Path, help="where to write what the packages are"
    )
    options = parser.parse_args()

    pip = pip_command()
    requirements = read_lock(options.lock)
    options.site.mkdir(parents=True, exist_ok=True)
    site = options.site.resolve()
    start = time.monotonic()
    if options.merge:
        work = {site: "\n".join(requirement.line for requirement in requirements)}
    else:
        work = {site / requirement.target: requirement.line for requirement in requirements}
    failed = False
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        # Little of what is merged is imported: a toolkit, or a torch that is soon deleted.
        compiled = not options.merge
        running = {
            pool.submit(install, pip, line, folder, compiled): line for folder, line in work.items()
        }
        for count, future in enumerate(concurrent.futures.as_completed(running), 1):
            words = future.result()
            line = running[future]
            what = f"{len(requirements)} packages" if options.merge else line.split(" ")[0]
            seconds = time.monotonic() - start
            outcome = "FAILED" if words else "fetched"
            print(
                f"[{options.title}] {count}/{len(work)} {outcome} {what} ({seconds:.1f} s)",
                file=sys.stderr,
                flush=True,
            )
            if words:
                failed = True
                print(words, file=sys.stderr, flush=True)
    remove_stray_build_files(site)
    if options.packages:
        requires = required_targets(site, {requirement.target for requirement in requirements})
        packages = describe(requirements, requires)
        options.packages.write_text(json.dumps(packages, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
