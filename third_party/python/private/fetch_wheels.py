"""Fetches the wheels of a lock and leaves them packed: the work of `wheels_repository`."""

import argparse
import os
import pathlib
import subprocess
import sys

# In isolated mode the folder of a program is not one to import from.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import fetch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock", type=pathlib.Path, required=True)
    parser.add_argument("--wheels", type=pathlib.Path, required=True)
    options = parser.parse_args()

    fetch.read_lock(options.lock)  # refuses what is not pinned by hash
    command = [*fetch.pip_command(), "download", "--quiet", "--no-input", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", f"--dest={options.wheels}"]
    wheelhouse = os.environ.get("STABLEKV_WHEELHOUSE")
    if wheelhouse:
        command += ["--no-index", f"--find-links={wheelhouse}"]
    done = subprocess.run([*command, f"--requirement={options.lock}"], env=fetch.pip_environment())
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
