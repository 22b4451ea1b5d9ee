"""`python -m stablekv` runs without the library; every other process imports the whole package."""

import sys

import pytest
import stablekv
from stablekv import _command

from tests.support.processes import run_module


@pytest.mark.parametrize(
    "options",
    [["-m", "stablekv"], ["-mstablekv"], ["-Bm", "stablekv"], ["-m", "stablekv.__main__"]],
)
def test_it_is_seen_however_it_is_written(options):
    done = run_module(*options, "no-such-command")
    assert done.returncode == 2
    assert "invalid choice: 'no-such-command'" in done.stderr


def test_without_a_command_the_usage_is_printed():
    done = run_module("-m", "stablekv")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m stablekv")


def test_the_help_is_of_what_is_for_users():
    done = run_module("-m", "stablekv", "--help")
    assert done.returncode == 0
    assert "{doctor}" in done.stdout
    assert "probe" not in done.stdout


def test_another_program_gets_the_package(tmp_path):
    """Its package imports stablekv while Python looks for its __main__, and names it as well."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("import stablekv\nstablekv.KVCache\n")
    (tmp_path / "other" / "__main__.py").write_text("print('ran')\n")
    done = run_module("-m", "other", "stablekv", first=[tmp_path])
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "original", "running"),
    [
        (["-m"], ["python", "-m", "stablekv"], True),
        (["-m", "doctor"], ["python", "-X", "utf8", "-m", "stablekv", "doctor"], True),
        (["-m", "json"], ["python", "-m", "stablekv.doctor.probe", "json"], True),
        (["-m"], ["python", "-m", "stablekv.bench"], False),
        (["-m", "stablekv"], ["python", "-m", "pytest", "stablekv"], False),
        (["-m"], ["python", "-m", "stablekv_tools"], False),
        (["/a/pytest.py", "-m", "stablekv"], ["python", "/a/pytest.py", "-m", "stablekv"], False),
        (["-c", "-m", "stablekv"], ["python", "-c", "pass", "-m", "stablekv"], False),
        ([], ["python"], False),
    ],
)
def test_who_is_the_command(monkeypatch, arguments, original, running):
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert _command.is_running() is running


def test_this_process_is_not():
    assert not _command.is_running()
    assert stablekv.KVCache
