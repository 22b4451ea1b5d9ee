"""What a fetch does on a machine whose interpreter has no pip: this test's own has none."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

_FOLDER = pathlib.Path(os.environ["TEST_SRCDIR"], os.environ["TEST_WORKSPACE"])
_FOLDER = _FOLDER / "third_party/python/private"


_HASH = "--hash=sha256:00"


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


def test_the_machines_wishes_for_other_packages_do_not_count(tmp_path, monkeypatch):
    said = tmp_path / "said"
    code = f"import json, os; json.dump(dict(os.environ), open({str(said)!r}, 'w'))"
    monkeypatch.setenv("STABLEKV_PIP", _wheel(tmp_path / "pip.whl", code))
    wishes = {
        "PIP_CONSTRAINT": "/some/constraints.txt",
        "PIP_PREFIX": "/some/prefix",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_USER": "yes",
        "PYTHONHOME": "/nowhere",
    }
    lock = tmp_path / "a.lock"
    lock.write_text("a==1 --hash=sha256:00\n")
    command = [sys.executable, "-BI", str(_FOLDER / "fetch_wheels.py")]
    command += [f"--lock={lock}", f"--wheels={tmp_path}"]
    subprocess.run(command, check=True, env=os.environ | wishes | {"PIP_INDEX_URL": "an index"})
    seen = json.loads(said.read_text())
    assert {name: seen.get(name) for name in wishes} == {
        "PIP_CONSTRAINT": os.devnull,
        "PIP_PREFIX": None,
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_USER": "0",
        "PYTHONHOME": None,
    }
    assert seen["PIP_INDEX_URL"] == "an index"


def _lock(folder, *lines):
    path = folder / "some.lock"
    path.write_text("# A comment.\n\n" + "\n".join(lines) + "\n")
    return path


def test_the_lines_of_a_lock(fetch, tmp_path):
    lines = ["Some.Package==1.0+cpu \\", f"    {_HASH} \\", f"    {_HASH}1", "    # via other"]
    lock = _lock(tmp_path, *lines, f"other == 2 {_HASH}")
    assert fetch.read_lock(lock) == [
        ("some_package", "1.0+cpu", f"Some.Package==1.0+cpu {_HASH} {_HASH}1"),
        ("other", "2", f"other == 2 {_HASH}"),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"b>=1 {_HASH}", "not pinned by version and sha256: b>=1"),
        ("b==1", "not pinned by version and sha256: b==1"),
        (f"b[docs]==1 {_HASH}", "wanted no extra: its packages are lines of their own: b[docs]==1"),
        (
            f'b==1 ; python_version < "3.12" {_HASH}',
            "wanted no condition: a lock is for one Python on one system: b==1 ; python_version <",
        ),
        (f"A_a==2 {_HASH}", "wanted one version of A_a, and this is a second line of it: A_a==2"),
    ],
)
def test_a_lock_with_something_else_is_refused_by_line(fetch, tmp_path, line, words):
    lock = _lock(tmp_path, "a.a==1 \\", f"    {_HASH}", line)
    with pytest.raises(SystemExit) as refused:
        fetch.read_lock(lock)
    assert str(refused.value).startswith(f"{lock}:5: {words}")


def test_packages_that_require_each_other_hold_all_of_them(fetch, tmp_path):
    required = {"a": ["b", "not-locked"], "b": ["c", "e"], "c": ["A"], "d": ["c"], "e": []}
    for name, others in required.items():
        metadata = tmp_path / name / f"{name}-1.dist-info/METADATA"
        metadata.parent.mkdir(parents=True)
        lines = [f"Name: {name}", *(f"Requires-Dist: {other}>=1" for other in others)]
        metadata.write_text("\n".join([*lines, "", "Requires-Dist: e"]))
    requirements = [fetch.Requirement(name, "1", "") for name in required]
    described = fetch.describe(requirements, fetch.required_targets(tmp_path, set(required)))
    cycle = {"folders": ["a", "b", "c"], "requires": ["e"], "version": "1"}
    assert described == {
        "a": cycle,
        "b": cycle,
        "c": cycle,
        "d": {"folders": ["d"], "requires": ["c"], "version": "1"},
        "e": {"folders": ["e"], "requires": [], "version": "1"},
    }
