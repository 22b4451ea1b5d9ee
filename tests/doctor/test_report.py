"""Conclusions that this machine gives no occasion for: GPUs, drivers, checkouts."""

import json
import pathlib
import subprocess
import types

import pytest
from stablekv.doctor import architectures, child, devices, report, revision, text, versions

H100 = {"index": 0, "name": "NVIDIA H100", "architecture": "sm_90", "capability": [9, 0]}
OPERATORS = {"_C::an_operator": {"CPU": True, "CUDA": True, "Meta": True}}


def probe(
    archs="sm_90a", cuda=True, seen=(H100,), operators=OPERATORS, driver="13.0", version="13.0"
):
    build = {"torch_target": "2.10", "torch_headers": "2.13.0", "cuda": cuda, "cuda_archs": archs}
    build["cuda_version"] = version if cuda else ""
    values = {
        "torch": {"version": "2.11.0+cu130", "cuda": "13.0", "file": "/torch/__init__.py"},
        "modules": [],
        "clashes": [],
        "library": {"path": "/a.so", "build": build | {"namespace": "_C", "cache_namespace": "_D"}},
        "operators": operators,
        "cuda": {"driver_cuda": driver, "devices": list(seen), "why_none": ""},
    }
    return child.Probe(values, {}, "")


def report_of(monkeypatch, seen):
    monkeypatch.setattr(child, "run", lambda modules: seen)
    return report.make()


def test_a_device_and_code_for_it(monkeypatch):
    found = report_of(monkeypatch, probe())
    assert found["ok"]
    assert found["cuda"]["devices"] == [{**H100, "runs": "sm_90a"}]
    assert "device 0:     NVIDIA H100, sm_90, runs sm_90a" in text.as_text(found)


def test_a_device_without_code_for_it(monkeypatch):
    found = report_of(monkeypatch, probe(archs="sm_100,sm_120"))
    (problem,) = found["problems"]
    assert problem.startswith("device 0 (NVIDIA H100) is sm_90, and the library has GPU code for")
    assert "sm_100, sm_120 alone" in problem
    assert "runs none of the library's code" in text.as_text(found)


@pytest.mark.parametrize(
    ("driver", "version", "archs", "problem"),
    [
        ("12.9", "13.0", "sm_90a", "every call on a GPU will fail until the driver is updated"),
        ("9.2", "13.0", "sm_90a", "every call on a GPU will fail until the driver is updated"),
        ("13.0", "13.5", "sm_90a", None),
        ("13.0", "13.10", "compute_90", "device 0 (NVIDIA H100) needs its PTX, which this"),
        ("13.2", "13.10", "compute_90", "device 0 (NVIDIA H100) needs its PTX, which this"),
        ("13.10", "13.2", "compute_90", None),
        ("14.0", "13.5", "compute_90", None),
        (None, "13.0", "sm_90a", None),
    ],
)
def test_a_driver_older_than_the_library_s_cuda(monkeypatch, driver, version, archs, problem):
    found = report_of(monkeypatch, probe(archs=archs, driver=driver, version=version))
    assert f"GPU code:     {archs}, of CUDA {version}" in text.as_text(found)
    if problem is None:
        assert found["ok"]
    else:
        (words,) = found["problems"]
        assert words.startswith(f"the driver speaks CUDA up to {driver}, and the library's GPU")
        assert f"is of CUDA {version}: {problem}" in words


def test_a_driver_that_no_device_asks_for(monkeypatch):
    assert report_of(monkeypatch, probe(seen=(), driver="12.9"))["ok"]


def test_a_library_that_does_not_say_its_cuda(monkeypatch):
    """One of before there was a version in it."""
    seen = probe(driver="12.9")
    del seen.values["library"]["build"]["cuda_version"]
    assert report_of(monkeypatch, seen)["ok"]


def test_a_device_and_a_library_without_cuda(monkeypatch):
    without = {"_C::an_operator": {"CPU": True, "CUDA": False, "Meta": True}}
    found = report_of(monkeypatch, probe(archs="", cuda=False, operators=without))
    assert found["problems"] == [
        "there is a CUDA device, and this library is built without CUDA: calls on it fail"
    ]


@pytest.mark.parametrize("backend", ["CPU", "CUDA", "Meta"])
def test_a_kernel_that_is_not_registered(monkeypatch, backend):
    operators = {"_C::an_operator": OPERATORS["_C::an_operator"] | {backend: False}}
    found = report_of(monkeypatch, probe(operators=operators))
    assert found["problems"] == [f"_C::an_operator has no {backend} kernel"]


def test_a_process_that_died(monkeypatch):
    seen = child.read(
        'noise\n{"stablekv": {"begin": "torch"}}\n'
        '{"stablekv": {"stage": "torch", "value": {"version": "2.9.0"}}}\n'
        '{"stablekv": {"begin": "library"}}\n',
        "was ended by SIGSEGV",
    )
    found = report_of(monkeypatch, seen)
    assert found["torch"]["version"] == "2.9.0"
    assert found["problems"] == [
        "the process that imports torch and loads the library was ended by SIGSEGV "
        "at the stage 'library'"
    ]
    assert text.as_text(found).endswith("not well: see above")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-1, "was ended by SIGHUP: out"),
        (-40, "was ended by signal 40: out"),
        (1, "ended with exit code 1: out"),
        (0, ""),
    ],
)
def test_how_a_process_ended(code, words):
    assert child._ending(subprocess.CompletedProcess([], code, "", "all\nout\n")) == words


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ("operators", "the operators cannot be listed"),
        ("clashes", "operators of the same names cannot be looked for"),
    ],
)
def test_what_cannot_be_looked_for(monkeypatch, stage, problem):
    seen = probe()
    del seen.values[stage]
    seen.errors[stage] = "RuntimeError: out of order"
    assert report_of(monkeypatch, seen)["problems"] == [f"{problem}: RuntimeError: out of order"]


def test_devices_that_cannot_be_listed(monkeypatch):
    """A device may be there, and broken: not the note of a machine that has none."""
    seen = probe()
    del seen.values["cuda"]
    seen.errors["cuda"] = "RuntimeError: CUDA error: out of order"
    found = report_of(monkeypatch, seen)
    assert not found["ok"]
    assert found["problems"] == [
        "the CUDA devices cannot be listed: RuntimeError: CUDA error: out of order"
    ]
    assert not any("operators run on the CPU alone" in note for note in found["notes"])
    assert found["cuda"]["error"] == "RuntimeError: CUDA error: out of order"


def test_a_driver_without_a_device(monkeypatch):
    monkeypatch.setattr(devices, "driver", lambda: "580.65.06")
    notes = report_of(monkeypatch, probe(seen=()))["notes"]
    assert "there is an NVIDIA driver, 580.65.06, all the same" in notes
    notes = report_of(monkeypatch, probe())["notes"]
    assert not any("NVIDIA driver" in note for note in notes)


def test_a_process_that_died_in_the_middle_of_a_line(monkeypatch):
    seen = child.read(
        '{"stablekv": {"begin": "torch"}}\n'
        '{"stablekv": {"stage": "torch", "value": {"version": "2.12.0"}}}\n'
        '{"stablekv": {"begin": "library"}}\n'
        '{"stablekv": {"stage": "libr',
        "was ended by SIGKILL",
    )
    found = report_of(monkeypatch, seen)
    assert found["torch"]["version"] == "2.12.0"
    (problem,) = found["problems"]
    assert problem.endswith("was ended by SIGKILL at the stage 'library'")


@pytest.mark.parametrize(
    ("output", "at"),
    [("", ""), ('{"stablekv": {"begin": "modules"}}\n', " at the stage 'modules'")],
)
def test_a_process_that_ended_well_and_early_is_a_problem(monkeypatch, output, at):
    found = report_of(monkeypatch, child.read(output, ""))
    assert not found["ok"]
    (problem,) = found["problems"]
    assert problem.endswith(f"ended with exit code 0 before it was done{at}")


def test_a_process_that_does_not_end(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"stablekv": {"begin": "cuda"}}\'\nexec sleep 60\n')
    python.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(python))
    monkeypatch.setattr(child, "_SECONDS", 1)
    found = report.make()
    (problem,) = found["problems"]
    assert problem.endswith("did not end within 1 s at the stage 'cuda'")


def test_an_interpreter_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr(child.sys, "executable", str(tmp_path / "python"))
    (problem,) = report.make()["problems"]
    assert problem.startswith("could not be started: ")


def _raise(*_):
    raise RuntimeError("out of order")


def test_nothing_that_fails_ends_the_doctor(monkeypatch):
    for module, name in [
        (child, "run"),
        (revision, "find"),
        (versions, "of_python"),
        (versions, "of_system"),
        (versions, "of_package"),
        (versions, "rivals"),
        (devices, "driver"),
    ]:
        monkeypatch.setattr(module, name, _raise)
    found = report.make()
    assert not found["ok"]
    assert found["problems"] == ["RuntimeError: out of order"]
    assert found["stablekv"]["source"] == "RuntimeError: out of order"
    assert text.as_text(found)
    assert text.as_json(found)


def test_a_rival_is_a_note(monkeypatch):
    monkeypatch.setattr(versions, "of_package", lambda name: "1.2.3")
    found = report_of(monkeypatch, probe())
    assert found["ok"]
    assert any("vllm 1.2.3 is installed" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19", "535.104.05"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release",
            "580.65.06",
        ),
        ("something else", None),
    ],
)
def test_the_version_of_the_driver(monkeypatch, tmp_path, words, version):
    monkeypatch.setattr(devices, "_DRIVER_FILE", tmp_path / "version")
    assert devices.driver() is None
    (tmp_path / "version").write_text(words)
    assert devices.driver() == version


@pytest.mark.parametrize(("number", "version"), [(13000, "13.0"), (12080, "12.8"), (0, None)])
def test_the_cuda_of_the_driver(number, version):
    core = types.SimpleNamespace(_cuda_getDriverVersion=lambda: number)
    assert devices._cuda_of_driver(types.SimpleNamespace(_C=core)) == version


@pytest.mark.parametrize(
    ("code", "runs", "does_not"),
    [
        ("sm_80", [(8, 0), (8, 6), (8, 9)], [(7, 5), (9, 0)]),
        ("sm_86", [(8, 6), (8, 9)], [(8, 0), (9, 0)]),
        ("sm_90", [(9, 0)], [(8, 9), (10, 0)]),
        ("sm_90a", [(9, 0)], [(8, 9), (10, 0)]),
        ("sm_100", [(10, 0), (10, 3)], [(9, 0), (12, 0)]),
        ("sm_100a", [(10, 0)], [(10, 3), (12, 0)]),
        ("sm_100f", [(10, 0), (10, 3)], [(11, 0), (12, 0)]),
        ("sm_120", [(12, 0), (12, 1)], [(10, 0)]),
        ("compute_80", [(8, 0), (9, 0), (12, 1)], [(7, 5)]),
        ("compute_90a", [(9, 0)], [(10, 0)]),
        ("compute_100f", [(10, 0), (10, 3)], [(12, 0)]),
        ("nonsense", [], [(9, 0)]),
    ],
)
def test_which_code_runs_where(code, runs, does_not):
    for capability in runs:
        assert architectures.runs_on(code, capability), capability
    for capability in does_not:
        assert not architectures.runs_on(code, capability), capability


def test_the_best_code_for_a_device():
    release = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120", "compute_120"]
    chosen = {
        (7, 5): None,
        (8, 7): "sm_86",
        (8, 9): "sm_89",
        (9, 0): "sm_90a",
        (10, 3): "sm_100",
        (12, 1): "sm_120",
        (13, 0): "compute_120",
    }
    for capability, code in chosen.items():
        assert architectures.for_device(release, capability) == code
    assert architectures.for_device([], (9, 0)) is None


@pytest.fixture
def checkout(tmp_path):
    """A git repository with the package in it; every file is committed."""
    package = tmp_path / "py" / "stablekv"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return package


def test_a_revision_by_git(checkout):
    found = revision.find(checkout)
    assert len(found["revision"]) == 40
    assert found["dirty"] is False
    (checkout / "new.py").touch()
    assert revision.find(checkout) == {**found, "dirty": True}


def test_a_checkout_that_git_cannot_read(tmp_path):
    package = tmp_path / "py" / "stablekv"
    package.mkdir(parents=True)
    (tmp_path / ".git").write_text("nonsense")
    found = revision.find(package)
    assert (found["revision"], found["dirty"]) == (None, None)
    assert found["source"].startswith("git did not say")


def test_a_checkout_without_git(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    assert revision.find(checkout)["source"].startswith("git did not say")


def test_a_checkout_of_something_else(checkout):
    other = checkout.with_name("other")
    other.mkdir()
    assert "recorded none" in revision.find(other)["source"]


def test_a_revision_of_the_build(monkeypatch, tmp_path):
    record = {"revision": "0123456789" * 4, "dirty": True}
    (tmp_path / "_revision.json").write_text(json.dumps(record))
    monkeypatch.setattr(report, "_PACKAGE", tmp_path)
    found = report_of(monkeypatch, probe())
    assert found["stablekv"]["revision"] == record["revision"]
    assert found["stablekv"]["dirty"] is True
    line = f"{record['revision']}, with changes that are not committed (recorded by the build)"
    assert f"git revision: {line}" in text.as_text(found)


def test_a_record_that_cannot_be_read_is_no_end(monkeypatch, tmp_path):
    (tmp_path / "_revision.json").write_text("{")
    monkeypatch.setattr(report, "_PACKAGE", tmp_path)
    found = report_of(monkeypatch, probe())
    assert found["ok"]
    assert found["stablekv"]["revision"] is None
    assert "JSONDecodeError" in found["stablekv"]["source"]


def test_clashes_are_listed(monkeypatch):
    seen = probe()
    seen.values["clashes"] = ["_C::an_operator", "_D::another"]
    assert "clashes:      _C::an_operator, _D::another" in text.as_text(
        report_of(monkeypatch, seen)
    )


def test_a_build_without_a_record(tmp_path):
    found = revision.find(pathlib.Path(tmp_path))
    assert found["revision"] is None
    assert "--config=release" in found["source"]
