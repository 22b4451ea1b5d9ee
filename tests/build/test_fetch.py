"""What a fetch does on a machine whose interpreter has no pip: this test's own has none."""

import importlib.util
import os
import subprocess
import zipfile

import pytest


@pytest.fixture
def fetch():
    path = os.path.join(os.environ["TEST_SRCDIR"], os.environ["TEST_WORKSPACE"])
    path = os.path.join(path, "third_party/python/private/fetch.py")
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
