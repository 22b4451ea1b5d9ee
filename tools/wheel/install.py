"""Installs the one wheel of a folder into another, as pip does, with no index and nothing else.

install.py FOLDER_WITH_THE_WHEEL TARGET
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys


def main() -> None:
    folder, target = sys.argv[1:]
    (wheel,) = pathlib.Path(folder).glob("*.whl")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--root-user-action=ignore"]
    options += ["--no-deps", "--no-cache-dir", "--no-compile", f"--target={target}"]
    # By name: of a wheel that is given by path, pip would record the path.
    wanted = ["--no-index", f"--find-links={folder}", wheel.name.split("-")[0]]
    command = [sys.executable, "-m", "pip", "install", *options, *wanted]
    # Nor may the machine's settings of pip have a say: they may name places with other wheels.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()
