"""The wheel in a clean virtual environment, installed by pip without an index, at work.

torch and numpy are those of the build, on the environment's path: nothing else of the tree is, but
the tests. `--//tests:subject=wheel` runs all tests of operators like that.
"""

import json
import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

from tests.wheel import archive

WHEEL = archive.find()
# In the runfiles; the test's own path also has what the environment shall not have.
LOCKED = [path for path in sys.path if "/stablekv_pip/site/" in path]
PIP = [path for path in sys.path if "/stablekv_pip_wheel/site/pip" in path]
TESTS = pathlib.Path(__file__).parent.parent.parent

# Bytes of the wheel: without GPU code (every vector unit times every cache format), and more for
# each architecture.
_BASE_BUDGET = 1_315_000
_BUDGET_AN_ARCHITECTURE = 3_850_000


class Environment:
    """A virtual environment; `python(...)` runs its interpreter."""

    def __init__(self, folder: pathlib.Path) -> None:
        subprocess.run(
            [sys._base_executable, "-I", "-m", "venv", "--without-pip", str(folder)], check=True
        )
        self._python = folder / "bin" / "python"
        names = {"base": str(folder), "platbase": str(folder)}
        self.site = pathlib.Path(sysconfig.get_path("purelib", "venv", vars=names))
        ours = ("PYTHON", "PIP_", "STABLEKV_", "TEST")
        self.clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.clean["PIP_CONFIG_FILE"] = os.devnull  # the machine's may name places with wheels

    def python(self, *arguments, cwd="/", **variables):
        return subprocess.run(
            [self._python, *arguments],
            cwd=cwd,
            env=self.clean | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("venv"))


def pip_install(environment, *more):
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    return environment.python(
        *["-m", "pip", "install", *options, "--no-index", *more, str(WHEEL.absolute())],
        PYTHONPATH=PIP[0],
    )


@pytest.fixture(scope="module")
def environment(empty):
    """With the wheel, torch, numpy and pytest."""
    assert not empty.python("-c", "import pip").returncode == 0
    refused = pip_install(empty)
    assert refused.returncode != 0
    assert "torch>=2.10" in refused.stderr, "the wheel asks for torch"
    (empty.site / "locked.pth").write_text("\n".join(map(os.path.abspath, LOCKED)) + "\n")
    done = pip_install(empty)
    assert (done.returncode, done.stderr) == (0, "")
    return empty


def test_the_package_is_that_of_the_wheel(environment):
    program = "import stablekv; from stablekv import _library; "
    done = environment.python("-c", program + "print(stablekv.__file__, _library.PATH, sep='\\n')")
    assert (done.returncode, done.stderr) == (0, "")
    folder = environment.site / "stablekv"
    assert done.stdout.splitlines() == [f"{folder}/__init__.py", f"{folder}/_C_stable_libtorch.so"]


@pytest.fixture(scope="module")
def found(environment):
    """What the doctor says there."""
    done = environment.python("-m", "stablekv", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_doctor_is_content(environment, found):
    assert found["stablekv"]["folder"] == str(environment.site / "stablekv")
    assert found["stablekv"]["version"] == archive.fields(WHEEL, "METADATA")["Version"]
    assert found["problems"] == []
    assert len(found["operators"]) > 10


def test_the_wheel_keeps_its_budget(found):
    architectures = found["library"]["architectures"]
    budget = _BASE_BUDGET + _BUDGET_AN_ARCHITECTURE * len(architectures)
    size = WHEEL.stat().st_size
    assert size <= budget, f"{size} bytes for {architectures}, at most {budget}"


def test_operators_do_their_work(environment):
    """Every operator with every dtype against its reference, and the errors' words."""
    done = environment.python(
        *["-m", "pytest", "-q", "-p", "no:cacheprovider"],
        *["-k", "test_errors or every_operator or works and plain"],
        *["tests/contract/test_contract.py", "tests/package/test_errors.py"],
        cwd=TESTS,
        PYTHONPATH=str(TESTS),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert int(last.split(" passed")[0].split()[-1]) >= 100, last


def test_pip_can_remove_it_again(environment):
    """Last: RECORD names every file, so that nothing is left."""
    done = environment.python(
        "-m", "pip", "uninstall", "--yes", "--quiet", "stablekv", PYTHONPATH=PIP[0]
    )
    assert done.returncode == 0, done.stderr
    left = [path for path in environment.site.rglob("*") if "stablekv" in path.name]
    assert [path for path in left if path.is_file() and path.suffix != ".pyc"] == []
