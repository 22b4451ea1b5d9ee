"""The test of one cell: writes what came of it for `write`, and fails if anything did."""

import argparse
import os
import pathlib
import sys

from tests.abi.matrix import cell


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--release", required=True)
    parser.add_argument("--python", required=True)
    for name in ("--lock", "--package", "--fetch"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    options = parser.parse_args()
    result = cell.run(
        options.release,
        options.python,
        options.lock.resolve(),
        options.package.resolve(),
        options.fetch.resolve(),
        pathlib.Path(os.environ["TEST_TMPDIR"]),
    )
    text = result.to_json()
    pathlib.Path(os.environ["TEST_UNDECLARED_OUTPUTS_DIR"], cell.RESULT).write_text(text)
    print(text)
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
