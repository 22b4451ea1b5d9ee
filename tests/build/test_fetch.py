"""What a fetch does on a machine whose interpreter has no pip: this test's own has none."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

_FOLDER = pathlib.Path(os.environ["TEST_SRCDIR"], os.environ["TEST_WORKSPACE"])
_FOLDER = _FOLDER / "third_party/python/private"


@pytest.fixture
def fetch():
    path = _FOLDER / "fetch.py"
    spec = importlib.util.spec_from_file_location("fetch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _wheel(path, code):
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pip/__main__.py", code)
    return str(path)


def test_the_wheel_that_the_launcher_names_is_used(fetch, tmp_path, monkeypatch):
    code = "import sys; print('pip of the wheel', sys.argv[1:])"
    monkeypatch.setenv("STABLEKV_PIP", _wheel(tmp_path / "pip.whl", code))
    done = subprocess.run([*fetch.pip_command(), "list"], capture_output=True, text=True)
    assert done.stdout == "pip of the wheel ['list']\n"


def test_without_any_pip_it_says_what_to_install(fetch, monkeypatch):
    monkeypatch.delenv("STABLEKV_PIP", raising=False)
    with pytest.raises(SystemExit, match=r"has no pip.*apt-get install python3-pip"):
        fetch.pip_command()


def test_a_wheel_that_does_not_run_is_no_pip(fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("STABLEKV_PIP", _wheel(tmp_path / "pip.whl", "raise SystemExit(3)"))
    with pytest.raises(SystemExit, match="has no pip"):
        fetch.pip_command()


def test_wheels_are_fetched_without_the_machines_limits_on_versions(tmp_path, monkeypatch):
    said = tmp_path / "said"
    code = f"import os; open({str(said)!r}, 'w').write(os.environ['PIP_CONSTRAINT'])"
    monkeypatch.setenv("STABLEKV_PIP", _wheel(tmp_path / "pip.whl", code))
    monkeypatch.setenv("PIP_CONSTRAINT", "/some/constraints.txt")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # it imports the file beside it
    lock = tmp_path / "a.lock"
    lock.write_text("a==1 --hash=sha256:00\n")
    command = [sys.executable, "-B", str(_FOLDER / "fetch_wheels.py")]
    command += [f"--lock={lock}", f"--wheels={tmp_path}"]
    subprocess.run(command, check=True)
    assert said.read_text() == os.devnull
