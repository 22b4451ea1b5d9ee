"""The torch matrix without a torch: what it makes of results, and of what goes wrong."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from tests.abi.matrix import cell, steps, table
from tests.abi.matrix.cell import Cell
from tests.abi.matrix.steps import STEPS, Outcome
from third_party.python import interpreters

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.cache.test_a" name="test_good[cpu]"/>
<testcase classname="tests.cache.test_a" name="test_not_here"><skipped message="no"/></testcase>
<testcase classname="tests.cache.test_a" name="test_bad"><failure
    message="E &lt;1&gt;&#10;more"/></testcase>
<testcase classname="tests.cache.test_b" name="test_broken"><error message="no such"/></testcase>
</testsuite></testsuites>"""


def a_cell(release: str = "2.10", python: str = "3.11") -> Cell:
    outcomes = {step: Outcome(passed=3) for step in STEPS}
    found = {"torch": f"{release}.0", "cuda": "13.0", "python": f"{python}.7", "operators": 16}
    return Cell(release, python, "abc", 1, "2026-11-22", found, outcomes)


def test_a_report_is_counted(tmp_path: pathlib.Path):
    report = tmp_path / "report.xml"
    report.write_text(JUNIT)
    assert steps.read_report(report) == Outcome(
        1, 1, ["cache.test_a.test_bad: E <1>", "cache.test_b.test_broken: no such"]
    )


@pytest.mark.parametrize(("program", "code"), [("exit(5)", 5), ("import os; os.abort()", -6)])
def test_a_run_that_leaves_no_report_is_a_failure(tmp_path, program, code):
    outcome = steps.run_pytest([sys.executable, "-c", program], tmp_path / "x.xml", tmp_path, {})
    assert not outcome.good
    assert outcome.failures == [f"pytest: exit code {code}"]


def test_a_step_in_which_nothing_ran_is_not_good():
    assert not Outcome(skipped=5).good
    result = a_cell()
    assert result.good
    del result.outcomes["opcheck"]
    assert not result.good


def test_every_test_file_is_in_one_step(tmp_path: pathlib.Path):
    names = (
        "cache/test_x.py",
        "package/test_compile.py",
        "package/test_errors.py",
        "new/test_y.py",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {step: steps.files_of(step, tmp_path) for step in STEPS} == {
        "import": [],
        "operators": ["tests/cache/test_x.py"],
        "errors": ["tests/package/test_errors.py"],
        "opcheck": ["tests/package/test_compile.py"],
        "package": ["tests/new/test_y.py"],
    }


def test_results_become_rows_in_order(tmp_path: pathlib.Path):
    for result in (a_cell("2.15"), a_cell("2.9"), a_cell("2.15", "3.9")):
        folder = tmp_path / f"torch-{result.release}-{result.python}" / "test.outputs"
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "outputs.zip", "w") as outputs:
            outputs.writestr(cell.RESULT, result.to_json())
    text = table.render(table.read_results(tmp_path))
    assert [line[:45] for line in text.splitlines()[2:5]] == [
        "| 2.9.0, CUDA 13.0 | 3.11.7 | all | 3 passed ",
        "| 2.15.0, CUDA 13.0 | 3.9.7 | all | 3 passed ",
        "| 2.15.0, CUDA 13.0 | 3.11.7 | all | 3 passed",
    ]
    assert "Nothing failed." in text and "sha256 `abc`" in text


def test_a_row_says_what_was_skipped_and_whether_it_is_a_sample():
    result = a_cell()
    result.every = 7
    result.outcomes["operators"].skipped = 5
    result.outcomes["opcheck"] = Outcome(skipped=2)
    assert "| 3.11.7 | 1 in 7 | 3 passed | 3 passed, 5 skipped | 3 passed | **nothing ran**, 2" in (
        table.render([result])
    )


def test_failures_are_named():
    result = a_cell()
    result.outcomes["errors"] = Outcome(passed=2, failures=["package.test_errors.test: `x`"])
    del result.outcomes["package"]
    text = table.render([result])
    assert "| **1 failed**, 2 passed | 3 passed | not run |" in text
    assert "* 2.10, CPython 3.11, errors: `package.test_errors.test: 'x'`" in text


def test_a_torch_that_does_not_import_is_a_row():
    result = Cell("2.15", "3.13", "abc", 1, "2026-11-22")
    result.outcomes["import"] = Outcome(failures=["no CPython 3.13"])
    assert "| 2.15 | 3.13 | all | **1 failed**, 0 passed | not run |" in table.render([result])


def test_results_of_two_libraries_make_no_table():
    other = a_cell("2.11")
    other.library = "def"
    with pytest.raises(table.MatrixError, match="2 different libraries"):
        table.render([a_cell(), other])
    with pytest.raises(table.MatrixError, match="no result"):
        table.render([])


def test_the_table_goes_between_its_marks():
    document = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    written = table.replace(document, "new\n")
    assert written == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.replace(written, "new\n") == written
    for broken in ("", table.BEGIN, table.END + table.BEGIN):
        with pytest.raises(table.MatrixError):
            table.replace(broken, "new\n")


def test_the_document_has_the_marks():
    assert table.replace(pathlib.Path("docs/abi.md").read_text(), "new\n").count("new\n") == 1


def test_interpreters(monkeypatch, tmp_path: pathlib.Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(interpreters.NotFoundError, match="set STABLEKV_PYTHON_3_12 to its path"):
        interpreters.find("3.12")
    fake = tmp_path / "versions" / "3.12.1" / "bin" / "python3.12"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho cpython 3.12\n")
    fake.chmod(0o755)
    assert interpreters.find("3.12") == str(fake)
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho pypy 3.12\n")
    other.chmod(0o755)
    monkeypatch.setenv("STABLEKV_PYTHON_3_12", str(other))
    with pytest.raises(interpreters.NotFoundError, match=r"other: is pypy 3\.12"):
        interpreters.find("3.12")


def test_a_cell_leaves_nothing_on_the_disk(tmp_path: pathlib.Path):
    with pytest.raises(ValueError), cell._folder(tmp_path / "cell") as folder:
        (folder / "wheel").touch()
        raise ValueError
    assert list(tmp_path.iterdir()) == []


def test_every_case_but_those_for_a_gpu_is_taken(tmp_path: pathlib.Path):
    text = (
        "import pytest\n"
        "@pytest.mark.parametrize('device', ['cpu', 'CUDA'])\n"
        "def test(device): pass\n"
        "def test_cuda_or_plot(): pass\n"
    )
    for name in ("test_other.py", "test_report.py"):
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "-k", steps.CASES]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    ran = [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "::" in line]
    assert ran == ["test[cpu]", "test[cpu]", "test[CUDA]"], done.stdout + done.stderr


def test_a_sample_has_the_first_case_and_enough_of_a_small_file(tmp_path: pathlib.Path):
    names = {"test_large.py": 100, "test_small.py": 6}
    for name, cases in names.items():
        (tmp_path / name).write_text(
            "import pytest\n"
            f"@pytest.mark.parametrize('case', range({cases}))\n"
            "def test(case): pass\n"
        )
    plugin = str(pathlib.Path(steps.__file__).parent.resolve())
    command = [sys.executable, "-m", "pytest", "-p", "sample", "-p", "no:cacheprovider", "-v"]
    done = subprocess.run(
        [*command, str(tmp_path)],
        env={
            "PYTHONPATH": os.pathsep.join([plugin, *sys.path]),
            "STABLEKV_MATRIX_EVERY": "25",
            "STABLEKV_MATRIX_LEAST": "3",
        },
        capture_output=True,
        text=True,
    )
    ran = [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "::" in line]
    large, small = [0, 25, 50, 75], [0, 2, 4]
    assert ran == [f"test[{case}]" for case in large + small], done.stdout + done.stderr
