"""One cell of the matrix: fetches a torch, runs the shipped library in it, deletes it.

What came of it is a file of JSON, `RESULT`, for the command that writes the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.abi.matrix import steps
from tests.abi.matrix.steps import Outcome
from third_party.python import interpreters

RESULT = "cell.json"
LIBRARY = "stablekv/_C_stable_libtorch.so"
EVERY_VARIABLE = "STABLEKV_MATRIX_EVERY"
_LEAST_VARIABLE = "STABLEKV_MATRIX_LEAST"
_GIGABYTES = 14  # the packages as wheels and unpacked, at the worst moment

_IMPORT = """
import json, platform, torch, stablekv
from stablekv import _library, _operators
print(json.dumps({
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "python": platform.python_version(),
    "library": str(_library.PATH),
    "operators": len(_operators.qualified_names()),
}))
"""


@dataclasses.dataclass
class Cell:
    """What is known of a release of torch under a version of Python."""

    release: str  # as asked for, "2.10"
    python: str
    library: str  # sha256 of the file
    every: int = 1  # one case in so many was run
    day: str = ""
    found: dict = dataclasses.field(default_factory=dict)  # what the import printed
    outcomes: dict[str, Outcome] = dataclasses.field(default_factory=dict)

    @property
    def good(self) -> bool:
        return all(name in self.outcomes and self.outcomes[name].good for name in steps.STEPS)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Cell:
        values = json.loads(text)
        outcomes = {name: Outcome(**outcome) for name, outcome in values.pop("outcomes").items()}
        return cls(**values, outcomes=outcomes)


def run(
    release: str,
    python: str,
    lock: pathlib.Path,
    package: pathlib.Path,
    fetch: pathlib.Path,
    scratch: pathlib.Path,
) -> Cell:
    """Fetches what `lock` names below `scratch`, and runs the tests of `package` with it."""
    every = int(os.environ.get(EVERY_VARIABLE) or "1")
    with _folder(scratch / "cell") as folder:
        with tarfile.open(package) as tar:
            tar.extractall(folder / "package", filter="data")
        digest = hashlib.sha256((folder / "package" / LIBRARY).read_bytes()).hexdigest()
        cell = Cell(release, python, digest, every, time.strftime("%Y-%m-%d"))
        try:
            interpreter = interpreters.find(python)
            _fetch(interpreter, fetch, lock, folder)
        except (interpreters.NotFoundError, RuntimeError) as error:
            cell.outcomes["import"] = Outcome(failures=[str(error)])
            return cell
        _test(cell, interpreter, folder)
    return cell


@contextmanager
def _folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder that is gone afterwards, and was before, whatever an interrupted run left."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _fetch(interpreter: str, fetch: pathlib.Path, lock: pathlib.Path, folder: pathlib.Path) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < _GIGABYTES:
        raise RuntimeError(f"{folder}: {free:.0f} GB free, a release needs {_GIGABYTES}")
    command = [interpreter, "-B", str(fetch), f"--title={lock.stem}", f"--lock={lock}"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PIP_NO_CACHE_DIR"] = "1"
    done = subprocess.run([*command, f"--site={folder / 'site'}", "--merge"], env=environment)
    if done.returncode:
        raise RuntimeError(f"pip could not fetch {lock.name}; its words are in the test's log")


def _test(cell: Cell, interpreter: str, folder: pathlib.Path) -> None:
    package, plugins = folder / "package", pathlib.Path(__file__).parent.resolve()
    (folder / "home").mkdir()
    environment = {
        "HOME": str(folder / "home"),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder / "home"),
        "PYTHONPATH": os.pathsep.join(map(str, (package, folder / "site"))),
        "PYTHONNOUSERSITE": "1",
        "OMP_WAIT_POLICY": "passive",
        EVERY_VARIABLE: str(cell.every),
    }
    done = subprocess.run(
        [interpreter, "-c", _IMPORT], env=environment, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        cell.outcomes["import"] = Outcome(failures=[words[-1]])
        print(done.stderr, flush=True)
        return
    cell.found = json.loads(done.stdout)
    cell.outcomes["import"] = Outcome(passed=1)
    if cell.found.pop("library") != str((package / LIBRARY).resolve()):
        cell.outcomes["import"] = Outcome(failures=["another library was loaded"])
        return
    environment["PYTHONPATH"] += os.pathsep + str(plugins)
    command = [interpreter, "-m", "pytest", "-q", "-p", "sample", "-k", steps.CASES]
    command += ["-p", "no:cacheprovider", "--color=no", "--tb=short"]
    for step in steps.STEPS[1:]:
        files = steps.files_of(step, package / "tests")
        print(f"---- {step}: {len(files)} files", flush=True)
        environment[_LEAST_VARIABLE] = str(steps.LEAST[step])
        report = folder / f"{step}.xml"
        cell.outcomes[step] = steps.run_pytest(command + files, report, package, environment)
