"""Fills a folder with all that a build fetches, for machines without a network.

    python3.11 tools/offline/fill.py FOLDER                 # everything
    python3.11 tools/offline/fill.py FOLDER core cuda-13.0  # only these locks

`consumer` is the lock of tests/consumer/own_pins, the others are NAME.lock in third_party.
There, with this folder and a checkout: `STABLEKV_OFFLINE=FOLDER ./bazelw test //...`

The folder gets `bazel/` (the packages of the private Bazel), `wheels/` (the wheels of the locks,
and buildifier's archive) and `SHA256SUMS`, for `sha256sum -c` after the way there. What is already
in it is not fetched again. Standard library only.
"""

import argparse
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

_ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(os.fspath(_ROOT / "third_party/python/private"))

import fetch  # noqa: E402

_LOCKS = {
    path.stem: path
    for folder in ("third_party/cuda", "third_party/python")
    for path in sorted((_ROOT / folder).glob("*.lock"))
} | {"consumer": _ROOT / "tests/consumer/own_pins/requirements.lock"}


def say(text: str) -> None:
    print(f"fill: {text}", flush=True)


def save_bazel(folder: pathlib.Path) -> None:
    """The packages that bazelw makes its Bazel of; as apt checked them against Debian's keys."""
    if (folder / "packages.json").exists():
        return
    version = (_ROOT / ".bazelversion").read_text().strip()
    program = _ROOT / "tools/bazelw/bootstrap/main.py"
    command = [sys.executable, "-B", program, "--version", version, "--save", folder]
    subprocess.run(command, check=True)


def pip_command(bazel: pathlib.Path, scratch: pathlib.Path) -> list[str]:
    """This interpreter's pip, or else the one among Bazel's packages."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    (package,) = bazel.glob("python3-pip-whl_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, scratch], check=True)
    (wheel,) = scratch.glob("usr/share/python-wheels/pip-*.whl")
    return [sys.executable, f"{wheel}/pip"]


def save_wheels(pip: list[str], lock: pathlib.Path, folder: pathlib.Path) -> None:
    """The wheels of a lock for this interpreter and machine, by their hashes."""
    command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:"]
    command += [f"--requirement={lock}", f"--dest={folder}"]
    subprocess.run(command, check=True, env=fetch.pip_environment())


def save_buildifier(folder: pathlib.Path) -> None:
    """The archive that //tools/lint unpacks, of the version and hash that WORKSPACE says."""
    call = re.search(r"buildifier_repository\((.*?)\n\)", (_ROOT / "WORKSPACE").read_text(), re.S)
    attributes = dict(re.findall(r'(\w+) = "([^"]+)"', call[1]))
    archive = folder / f"bazel-buildifier-{attributes['version']}.tgz"
    if not archive.exists():
        package = f"@bazel/buildifier@{attributes['version']}"
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
    if sha256(archive) != attributes["sha256"]:
        archive.unlink()
        raise SystemExit(f"fill: {archive.name} has not the hash that WORKSPACE says: removed")


def sha256(path: pathlib.Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write_sums(folder: pathlib.Path) -> int:
    """Writes SHA256SUMS of all files; returns their bytes."""
    sums = folder / "SHA256SUMS"
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p not in (sums, folder / "lock"))
    lines = [f"{sha256(path)}  {path.relative_to(folder)}\n" for path in files]
    sums.write_text("".join(lines))
    return sum(path.stat().st_size for path in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("locks", nargs="*", help=f"of {', '.join(_LOCKS)}; without: all")
    options = parser.parse_args()
    unknown = [name for name in options.locks if name not in _LOCKS]
    if unknown:
        raise SystemExit(f"fill: no lock named {unknown[0]!r}; there are {', '.join(_LOCKS)}")
    start = time.monotonic()
    folder = options.folder.resolve()
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    save_bazel(folder / "bazel")
    with tempfile.TemporaryDirectory() as scratch:
        pip = pip_command(folder / "bazel", pathlib.Path(scratch))
        for name in options.locks or _LOCKS:
            say(f"the wheels of {_LOCKS[name].relative_to(_ROOT)}")
            save_wheels(pip, _LOCKS[name], wheels)
    if not options.locks or "tools" in options.locks:
        say("buildifier")
        save_buildifier(wheels)
    size = write_sums(folder)
    seconds = time.monotonic() - start
    say(f"{size / 1e6:.0f} MB in {folder} after {seconds:.0f} s. There: STABLEKV_OFFLINE=FOLDER")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        program = os.fspath(error.cmd[0])
        sys.exit(f"fill: {program} failed (exit code {error.returncode}); its words are above")
