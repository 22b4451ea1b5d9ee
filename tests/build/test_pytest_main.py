"""What a test that Bazel runs comes to where no case is left of it."""

import os
import pathlib
import subprocess
import sys

import pytest

_MAIN = os.environ["STABLEKV_PYTEST_MAIN"]
_CASES = "def test_one(): pass\ndef test_two(): pass\n"


def _run(folder: pathlib.Path, text: str, **variables: str) -> int:
    case = folder / "test_case.py"
    case.write_text(text)
    bazels = ("TEST_", "TESTBRIDGE_", "XML_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(bazels)}
    command = [sys.executable, _MAIN, f"--rootdir={folder}", str(case)]
    return subprocess.run(command, env=environment | variables).returncode


def _shard(folder: pathlib.Path, index: int) -> dict[str, str]:
    return {
        "TEST_SHARD_INDEX": str(index),
        "TEST_SHARD_STATUS_FILE": str(folder / "status"),
        "TEST_TOTAL_SHARDS": "3",
    }


def test_a_target_without_cases_fails(tmp_path):
    assert _run(tmp_path, "") == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize("index", [0, 1, 2])
def test_an_empty_shard_passes(tmp_path, index):
    assert _run(tmp_path, _CASES, **_shard(tmp_path, index)) == 0
    assert (tmp_path / "status").exists()


def test_a_filter_that_matches_nothing_passes(tmp_path):
    assert _run(tmp_path, _CASES, TESTBRIDGE_TEST_ONLY="three") == 0


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_failure_fails_with_filter_and_shards(tmp_path, name):
    text = _CASES.replace(f"test_{name}(): pass", f"test_{name}(): raise ValueError")
    assert _run(tmp_path, text, TESTBRIDGE_TEST_ONLY=name) == pytest.ExitCode.TESTS_FAILED
    codes = [_run(tmp_path, text, **_shard(tmp_path, index)) for index in range(3)]
    assert sorted(codes) == [0, 0, pytest.ExitCode.TESTS_FAILED]


def test_a_file_that_does_not_import_fails(tmp_path):
    code = _run(tmp_path, "import nothing_of_the_name", TESTBRIDGE_TEST_ONLY="three")
    assert code == pytest.ExitCode.INTERRUPTED
