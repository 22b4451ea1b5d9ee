"""Runs pytest as Bazel runs tests: filter, shards and the XML report by Bazel's own variables."""

import os
import pathlib
import sys

import pytest


class Shard:
    """Keeps every n-th test case, where n is the number of shards."""

    def __init__(self, index: int, total: int) -> None:
        self._index, self._total = index, total

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list) -> None:
        kept = items[self._index :: self._total]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def main() -> int:
    pattern = os.environ.get("TESTBRIDGE_TEST_ONLY")
    total = int(os.environ.get("TEST_TOTAL_SHARDS", "0"))
    arguments = ["-p", "no:cacheprovider", "-ra", "--strict-markers", "--tb=short"]
    arguments += ["--color=no", "-o", "console_output_style=count"]
    if pattern:
        arguments += ["-k", pattern]
    if report := os.environ.get("XML_OUTPUT_FILE"):
        arguments.append(f"--junitxml={report}")
    plugins = []
    if total:
        pathlib.Path(os.environ["TEST_SHARD_STATUS_FILE"]).touch()
        plugins.append(Shard(int(os.environ["TEST_SHARD_INDEX"]), total))
    code = int(pytest.main(arguments + sys.argv[1:], plugins))
    # A filter for other targets, or a shard too many, leaves nothing to fail. Else it is a mistake.
    if code == pytest.ExitCode.NO_TESTS_COLLECTED and (pattern or total > 1):
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
