"""The report on files as a user asks for it: ours, strangers', and what is no library."""

from __future__ import annotations

import importlib.util
import os
import pathlib

import pytest

from tools.abi import elf, report

HERE = pathlib.Path(__file__).parent
STABLE = pathlib.Path(os.environ["STABLEKV_STABLE_LIBRARY"])


def stranger(package: str, path: str) -> pathlib.Path:
    """A library that somebody else has built, from its wheel."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    (file,) = pathlib.Path(spec.origin).parent.glob(path)
    return file


def report_on(path: pathlib.Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The values of its lines, and the lists below them, both by title."""
    values: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    title = ""
    for line in report.lines(path)[1:]:
        if line.startswith("  "):
            lists[title].append(line.strip())
            continue
        title, _, value = line.partition(":")
        values[title] = value.strip()
        lists[title := title.partition(" (")[0]] = []
    return values, lists


def test_our_library():
    values, lists = report_on(STABLE)
    assert values["verdict"] == "stable"
    assert values["minimum torch"].startswith("2.10, for ")
    operators = lists["operators, by the schemas in the file"]
    assert "concat_mla_q(Tensor ql_nope, Tensor q_pe, Tensor! q_out) -> ()" in operators
    assert len(operators) == 17
    assert not {"bound to one torch", "bound to CPython", "of unknown origin"} & lists.keys()


def test_our_libraries_that_break_the_promise():
    values, lists = report_on(HERE / "unstable_symbol.so")
    assert values["verdict"] == "unstable"
    assert values["minimum torch"] == "exactly the one that it was built with"
    assert any(line.startswith("c10::Device::Device(") for line in lists["bound to one torch"])
    values, lists = report_on(HERE / "newer_shim.so")
    assert values["minimum torch"].startswith("2.13, for torch_stream_native_handle and ")
    _, lists = report_on(HERE / "cuda_only.so")
    strong = lists["only in a torch with CUDA; does not load without"]
    assert strong == ["aoti_torch_get_current_cuda_stream"]


def test_an_extension_of_torch_by_strangers():
    values, lists = report_on(stranger("torch", "lib/libtorchbind_test.so"))
    assert values["verdict"] == "unstable"
    assert "libtorch_cpu.so" in values["DT_NEEDED"]
    operators = lists["operators, by the schemas in the file"]
    assert any(line.startswith("queue_push(") for line in operators)
    assert "c10::StringType::get()" in lists["bound to one torch"]


def test_a_library_that_has_nothing_to_do_with_torch():
    values, lists = report_on(stranger("numpy", "_core/_simd.*.so"))
    assert values["verdict"] == "not an extension of torch"
    assert values["minimum torch"] == "none: it uses no function of torch's C shim"
    assert "PyArg_ParseTuple" in lists["bound to CPython"]
    assert values["operators"].startswith("no schema in the file")


def test_the_command_names_the_file_that_it_cannot_read(tmp_path, monkeypatch, capsys):
    """And reads paths from where the user is: `bazel run` starts it elsewhere."""
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    (tmp_path / "ours.so").symlink_to(STABLE.resolve())
    (tmp_path / "text.so").write_text("text")
    report.main(["report", "ours.so"])
    assert f"{tmp_path}/ours.so\nverdict:        stable\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=rf"report: {tmp_path}/text\.so: no ELF file"):
        report.main(["report", "text.so"])
    with pytest.raises(SystemExit, match=r"report: .*no_such\.so"):
        report.main(["report", "no_such.so"])
    with pytest.raises(elf.ElfError):
        report.lines(tmp_path / "text.so")
