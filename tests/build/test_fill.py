"""What tools/offline/fill.py would fetch, and how; from a copy of the sources."""

import importlib.util
import os
import pathlib
import re
import sys
import tarfile

import pytest


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    with tarfile.open(os.environ["STABLEKV_SOURCES"]) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def fill(root):
    spec = importlib.util.spec_from_file_location("fill", root / "tools/offline/fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _locks_of_repositories(root: pathlib.Path) -> set[pathlib.Path]:
    """Every lock that a repository of this workspace is made of."""
    files = [root / "WORKSPACE", *root.glob("third_party/**/*.bzl"), *root.glob("tests/**/*.bzl")]
    labels = [re.findall(r'"//([\w/]+):([\w./-]+\.lock)"', file.read_text()) for file in files]
    return {root / package / name for found in labels for package, name in found}


def test_every_lock_is_filled_in(fill, root):
    wanted = _locks_of_repositories(root)
    assert len(wanted) > 5
    assert wanted <= set(fill._LOCKS.values())
    assert all(path.is_file() for path in fill._LOCKS.values())


def test_limits_of_the_machines_pip_do_not_count(fill, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONSTRAINT", "/some/constraints.txt")
    monkeypatch.setenv("PYTHONPATH", "/some/packages")
    monkeypatch.setenv("PIP_INDEX_URL", "the machine's")
    pip = tmp_path / "pip.py"
    said = tmp_path / "said"
    pip.write_text(f"import os; open({str(said)!r}, 'w').write(repr(dict(os.environ)))")
    fill.save_wheels([sys.executable, str(pip)], fill._LOCKS["core"], tmp_path)
    environment = eval(said.read_text())
    assert environment["PIP_CONSTRAINT"] == os.devnull
    assert environment["PIP_INDEX_URL"] == "the machine's"
    assert "PYTHONPATH" not in environment
