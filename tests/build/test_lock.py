"""What //third_party/python:lock does where it cannot make every lock."""

import pytest

from third_party.python import interpreters, lock


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout with a lock that any machine can make, and one that wants another Python."""
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(lock, "_lock", lambda source, python: f"{source.name} by {python}\n")
    path = tmp_path / "third_party/python"
    path.mkdir(parents=True)
    (path / "a.in").write_text("a==1\n")
    (path / "b.in").write_text("# pythons: 3.12\nb==1\n")
    return path


def _run(monkeypatch, *names):
    monkeypatch.setattr(lock.sys, "argv", ["lock", *names])
    lock.main()


def test_a_missing_interpreter_is_said_before_anything_is_written(folder, monkeypatch):
    def find(version):
        raise interpreters.NotFoundError(f"no CPython {version}")

    monkeypatch.setattr(interpreters, "find", find)
    with pytest.raises(SystemExit, match=r"no CPython 3\.12\. Or name the locks to make: a, b"):
        _run(monkeypatch)
    assert sorted(path.name for path in folder.iterdir()) == ["a.in", "b.in"]
    _run(monkeypatch, "a")
    assert (folder / "a.lock").exists()


def test_every_lock_is_made(folder, monkeypatch):
    monkeypatch.setattr(interpreters, "find", lambda version: f"/python{version}")
    _run(monkeypatch)
    assert (folder / "a.lock").read_text().startswith("a.in by /")
    assert (folder / "b-cp312.lock").read_text() == "b.in by /python3.12\n"


def test_an_unknown_name_is_said_before_anything_is_written(folder, monkeypatch):
    with pytest.raises(SystemExit, match="no lock named 'c'; there are a, b"):
        _run(monkeypatch, "a", "c")
    assert not (folder / "a.lock").exists()
