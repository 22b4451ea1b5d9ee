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


def read_lock(path: pathlib.Path) -> dict[str, str]:
    """Returns each requirement of the lock by its name, hashes included."""
    text = path.read_text().replace("\\\n", " ")
    requirements = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        if "==" not in line or "--hash=sha256:" not in line:
            raise SystemExit(f"{path}: not pinned by version and sha256: {line}")
        requirements[line.split("==", 1)[0]] = re.sub(r"\s+", " ", line)
    return requirements


def environment(**added: str) -> dict[str, str]:
    """The caller's variables, but for Python's own: PYTHONPATH would bring other packages."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | added


def pip_environment(**added: str) -> dict[str, str]:
    """For a pip that reads a lock: what is locked is not subject to the machine's constraints."""
    return environment(PIP_CONSTRAINT=os.devnull, **added)


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


def required_targets(site: pathlib.Path, targets: set[str]) -> dict[str, list[str]]:
    """Returns, for each package, the packages of this lock that its metadata requires."""
    requires = {}
    for target in sorted(targets):
        named = set()
        for metadata in (site / target).glob("*.dist-info/METADATA"):
            for line in metadata.read_text(errors="replace").splitlines():
                if not line:
                    break  # the description begins
                # An extra is something that nobody asked for here.
                if line.startswith("Requires-Dist:") and "extra ==" not in line:
                    named.add(target_of(re.match(r"[\w.-]+", line.split(":", 1)[1].strip())[0]))
        requires[target] = sorted(named & targets - {target})
    return requires


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
    parser.add_argument("--requires", type=pathlib.Path, help="where to write who needs whom")
    options = parser.parse_args()

    pip = pip_command()
    requirements = read_lock(options.lock)
    options.site.mkdir(parents=True, exist_ok=True)
    site = options.site.resolve()
    start = time.monotonic()
    if options.merge:
        work = {"all": "\n".join(requirements.values())}
        targets = {"all": site}
    else:
        work = requirements
        targets = {name: site / target_of(name) for name in requirements}
    failed = False
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        # Little of what is merged is imported: a toolkit, or a torch that is soon deleted.
        compiled = not options.merge
        running = {
            pool.submit(install, pip, work[name], targets[name], compiled): name for name in work
        }
        for count, future in enumerate(concurrent.futures.as_completed(running), 1):
            words = future.result()
            name = running[future]
            what = f"{len(requirements)} packages" if options.merge else work[name].split(" ")[0]
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
    if options.requires:
        requires = required_targets(site, {target.name for target in targets.values()})
        options.requires.write_text(json.dumps(requires, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
