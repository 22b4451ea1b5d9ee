"""Turns `NAME.in` files into `NAME.lock`: every package pinned by version and sha256.

    ./bazelw run //third_party/python:lock -- core example cuda-13.0 tools

pip resolves against the index that the machine is configured with. A first line
`# closed: ...` in the .in file means that the list is complete as it stands, and pip adds nothing.
"""

import json
import os
import pathlib
import subprocess
import sys

_FOLDERS = ("third_party/python", "third_party/cuda")


def _resolve(source: pathlib.Path) -> list[dict]:
    # The toolchain's environment has no pip; the interpreter behind it has.
    command = [sys._base_executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report=-"]
    command += ["--ignore-installed", "--only-binary=:all:", f"--requirement={source}"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    if source.read_text().startswith("# closed:"):
        command.append("--no-deps")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"pip could not resolve {source}")
    return json.loads(done.stdout)["install"]


def _lock(source: pathlib.Path) -> str:
    lines = [f"# Made from {source.name} by `./bazelw run //third_party/python:lock`."]
    pins = {}
    for package in _resolve(source):
        name = package["metadata"]["name"].lower().replace("_", "-")
        sha256 = package["download_info"]["archive_info"]["hashes"]["sha256"]
        pins[name] = f"{name}=={package['metadata']['version']} \\\n    --hash=sha256:{sha256}"
    return "\n".join(lines + [pins[name] for name in sorted(pins)]) + "\n"


def main() -> None:
    root = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
    found = [path for folder in _FOLDERS for path in (root / folder).glob("*.in")]
    sources = {path.name.removesuffix(".in"): path for path in found}
    for name in sys.argv[1:] or sorted(sources):
        if name not in sources:
            sys.exit(f"no lock named {name!r}; there are {', '.join(sorted(sources))}")
        text = _lock(sources[name])
        sources[name].with_name(name + ".lock").write_text(text)
        print(f"{name}.lock: {text.count('--hash')} packages")


if __name__ == "__main__":
    main()
