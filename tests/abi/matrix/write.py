"""Writes what the last torch matrix found into docs/abi.md.

./bazelw test --config=torch_matrix //tests/abi/...
./bazelw run //tests/abi/matrix:write
"""

import os
import pathlib
import sys

from tests.abi.matrix import table


def main() -> None:
    root = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    document = root / "docs" / "abi.md"
    try:
        rows = list(table.read_results(root / "bazel-testlogs" / "tests" / "abi" / "matrix"))
        document.write_text(table.replace(document.read_text(), table.render(rows)))
    except table.MatrixError as error:
        sys.exit(str(error))
    print(f"{document}: {len(rows)} rows")


if __name__ == "__main__":
    main()
