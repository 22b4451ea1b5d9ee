"""The steps of a cell: which tests each runs, and what came of them."""

from __future__ import annotations

import pathlib
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

# In the order of the table. `import` is no pytest step: without it there is nothing to test.
STEPS = ("import", "operators", "errors", "opcheck", "package")

# Of each file, so many cases at least are run: of the few that check errors all, and of those that
# check compilers one for each operator.
LEAST = {"operators": 1, "errors": 100, "opcheck": 50, "package": 1}

# For pytest's -k. No case for a GPU: they are run on one, docs/gpu.md. The doctor's report is
# tested on made-up devices and needs none. No picture: matplotlib sees no torch.
CASES = "(not cuda or test_report) and not plot"

# The files of a step, or the folders; what is in none is of the package.
_ERRORS = ("package/test_errors.py", "bindings/test_stable_library.py")
_OPCHECK = ("package/test_compile.py", "cache/test_mla_compile.py")
_OPERATORS = ("attention/", "cache/", "contract/", "properties/")
_NOT_THE_STABLE_LIBRARY = ("bindings/test_unstable_library.py", "bindings/test_twin.py")


@dataclass
class Outcome:
    """What came of a step. `failures` is a line for each test that failed, its name first."""

    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.passed > 0 and not self.failures


def files_of(step: str, tests: pathlib.Path) -> list[str]:
    """The test files of a step, relative to the folder above `tests`; every file is in one step."""
    found = sorted(str(path.relative_to(tests)) for path in tests.glob("*/test_*.py"))
    return [f"tests/{path}" for path in found if _step_of(path) == step]


def _step_of(path: str) -> str | None:
    if path in _NOT_THE_STABLE_LIBRARY:
        return None
    if path in _ERRORS:
        return "errors"
    if path in _OPCHECK:
        return "opcheck"
    return "operators" if path.startswith(_OPERATORS) else "package"


def run_pytest(
    command: list[str], report: pathlib.Path, folder: pathlib.Path, environment: dict[str, str]
) -> Outcome:
    """Runs pytest, which may die on the way, and reads its report."""
    done = subprocess.run(
        [*command, f"--junitxml={report}"], cwd=folder, env=environment, stderr=subprocess.STDOUT
    )
    outcome = read_report(report) if report.is_file() else Outcome()
    if done.returncode != 0 and not outcome.failures:
        # A process that is aborted leaves no report, and one that collects nothing no test.
        outcome.failures.append(f"pytest: exit code {done.returncode}")
    return outcome


def read_report(report: pathlib.Path) -> Outcome:
    """Counts the cases of a JUnit file."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        wrong = [child for child in case if child.tag in ("failure", "error")]
        if wrong:
            words = (wrong[0].get("message") or "no message").splitlines() or [""]
            name = f"{case.get('classname', '')}.{case.get('name', '')}".removeprefix("tests.")
            outcome.failures.append(f"{name}: {words[0]}"[:300])
        elif case.find("skipped") is not None:
            outcome.skipped += 1
        else:
            outcome.passed += 1
    return outcome
