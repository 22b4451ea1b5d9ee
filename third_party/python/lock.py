"""Turns `NAME.in` files into `NAME.lock`: every package pinned by version and sha256.

    ./bazelw run //third_party/python:lock -- core example cuda-13.0 tools torch-2.15

pip resolves against the index that the machine is configured with, but not within the limits on
versions that it may be configured with: the .in files say which versions. The first lines of a .in
file may be
  `# closed: ...`         the list is complete as it stands, and pip adds nothing;
  `# pythons: 3.10 3.11`  one lock for each of these: NAME-cp310.lock, NAME-cp311.lock.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from third_party.python import interpreters

_FOLDERS = ("third_party/python", "third_party/cuda", "third_party/torch/matrix")


def _resolve(source: pathlib.Path, python: str) -> list[dict]:
    command = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--report=-"]
    command += ["--ignore-installed", "--only-binary=:all:", f"--requirement={source}"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    if source.read_text().startswith("# closed:"):
        command.append("--no-deps")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PIP_CONSTRAINT"] = os.devnull
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"pip could not resolve {source}")
    return json.loads(done.stdout)["install"]


def _lock(source: pathlib.Path, python: str) -> str:
    lines = [f"# Made from {source.name} by `./bazelw run //third_party/python:lock`."]
    pins = {}
    for package in _resolve(source, python):
        name = package["metadata"]["name"].lower().replace("_", "-")
        sha256 = package["download_info"]["archive_info"]["hashes"]["sha256"]
        pins[name] = f"{name}=={package['metadata']['version']} \\\n    --hash=sha256:{sha256}"
    return "\n".join(lines + [pins[name] for name in sorted(pins)]) + "\n"


def _interpreters(source: pathlib.Path) -> dict[str, str]:
    """The interpreter for each lock of the source, by the suffix of the lock's name."""
    pythons = re.match(r"# pythons: (.*)", source.read_text())
    if pythons is None:
        # The toolchain's environment has no pip; the interpreter behind it has.
        return {"": sys._base_executable}
    versions = pythons[1].split()
    return {f"-cp{version.replace('.', '')}": interpreters.find(version) for version in versions}


def main() -> None:
    root = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    found = [path for folder in _FOLDERS for path in (root / folder).glob("*.in")]
    sources = {path.name.removesuffix(".in"): path for path in found}
    names = sys.argv[1:] or sorted(sources)
    for name in names:
        if name not in sources:
            sys.exit(f"no lock named {name!r}; there are {', '.join(sorted(sources))}")
    # All of them first: nothing is written where one is missing.
    try:
        pythons = {name: _interpreters(sources[name]) for name in names}
    except interpreters.NotFoundError as error:
        sys.exit(f"{error}. Or name the locks to make: {', '.join(sorted(sources))}")
    for name in names:
        for suffix, python in pythons[name].items():
            text = _lock(sources[name], python)
            sources[name].with_name(f"{name}{suffix}.lock").write_text(text)
            print(f"{name}{suffix}.lock: {text.count('--hash')} packages", flush=True)


if __name__ == "__main__":
    main()
