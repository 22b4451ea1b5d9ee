"""The doctor as a user starts it: it answers, in words, whatever is wrong."""

import json
import pathlib
import shutil
import sys

import pytest
import stablekv
import torch
from stablekv import _library, _loader, _operators

from tests.support.processes import run_module

PACKAGE = pathlib.Path(stablekv.__file__).parent
LIBRARY = str(_library.PATH)


def doctor(*arguments, first=(), library=LIBRARY, code):
    """Runs it with the folders in `first` before all others; `code` is the exit code to come."""
    done = run_module("-m", "stablekv", "doctor", *arguments, first=first, STABLEKV_LIBRARY=library)
    assert (done.returncode, done.stderr) == (code, ""), done
    return done.stdout


def diagnosis(*arguments, **how):
    return json.loads(doctor("--json", *arguments, **how))


@pytest.fixture
def copied_package(tmp_path):
    """The package in another place, without its library."""
    names = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "stablekv", ignore=names)
    return tmp_path


def test_a_sound_installation():
    found = diagnosis(code=0)
    assert (found["ok"], found["problems"]) == (True, [])
    assert found["stablekv"]["version"] == stablekv.__version__
    assert pathlib.Path(found["stablekv"]["folder"]) == PACKAGE
    assert found["python"]["version"] == sys.version.split()[0]
    assert found["torch"]["version"] == torch.__version__
    assert found["torch"]["cuda"] == torch.version.cuda
    assert found["torch"]["minimum"] == found["library"]["torch_target"] == "2.10"
    assert found["library"]["path"] == LIBRARY
    assert found["library"]["namespaces"] == [
        _operators.ATTENTION_NAMESPACE,
        _operators.CACHE_NAMESPACE,
    ]
    assert found["clashes"] == []
    assert set(found["operators"]) == set(_operators.qualified_names())
    has_cuda = found["library"]["built_with_cuda"]
    for backends in found["operators"].values():
        assert backends == {"CPU": True, "CUDA": has_cuda, "Meta": True}
    assert bool(found["library"]["architectures"]) == has_cuda
    assert len(found["cuda"]["devices"]) == torch.cuda.device_count()
    assert bool(found["cuda"]["why_none"]) == (not torch.cuda.is_available())


def test_the_same_as_text():
    lines = doctor(code=0).splitlines()
    assert lines[0] == f"stablekv:     {stablekv.__version__}, {PACKAGE}"
    assert f"library:      {LIBRARY}" in lines
    rows = [line.split() for line in lines if line.startswith("_C")]
    assert [row[0] for row in rows] == list(_operators.qualified_names())
    assert all(row[1] == row[3] == "yes" for row in rows)
    assert lines[-1] == "all is well"


def test_torch_is_missing(tmp_path):
    # As if: the machine may have one in a place that no variable takes away.
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    found = diagnosis(first=[tmp_path], code=1)
    assert found["problems"] == [
        "torch cannot be imported, and stablekv needs torch >= 2.10: "
        "ModuleNotFoundError: No module named 'torch'"
    ]
    assert found["stablekv"]["version"] == stablekv.__version__
    text = doctor(first=[tmp_path], code=1)
    assert "PROBLEM: torch cannot be imported" in text
    assert text.endswith("not well: see above\n")


def test_torch_is_broken(tmp_path):
    (tmp_path / "torch.py").write_text("import os\nos.abort()\n")
    (problem,) = diagnosis(first=[tmp_path], code=1)["problems"]
    assert "was ended by SIGABRT" in problem
    assert problem.endswith("at the stage 'torch'")


def test_torch_is_too_old(tmp_path):
    (tmp_path / "aged.py").write_text("import torch\ntorch.__version__ = '2.9.1+cu128'\n")
    (problem,) = diagnosis("--with", "aged", first=[tmp_path], code=1)["problems"]
    assert "the library does not load: ImportError: stablekv needs torch >= 2.10" in problem
    assert "this is torch 2.9.1+cu128" in problem


def test_the_library_is_missing(copied_package):
    found = diagnosis(first=[copied_package], library="", code=1)
    (problem,) = found["problems"]
    assert "_C_stable_libtorch.so is missing" in problem
    assert "install the wheel" in problem
    assert found["library"]["loaded"] is False
    assert found["torch"]["version"] == torch.__version__


def test_the_library_is_no_library(copied_package):
    (copied_package / "stablekv" / _loader.LIBRARY_NAME).write_text("not a library")
    (problem,) = diagnosis(first=[copied_package], library="", code=1)["problems"]
    assert f"cannot load {copied_package}" in problem
    assert "file too short" in problem or "invalid ELF header" in problem


def test_the_library_is_cut_short(copied_package):
    """The process would die of it."""
    whole = pathlib.Path(LIBRARY).read_bytes()
    (copied_package / "stablekv" / _loader.LIBRARY_NAME).write_bytes(whole[: len(whole) // 2])
    found = diagnosis(first=[copied_package], library="", code=1)
    (problem,) = found["problems"]
    assert f"is cut short: it has {len(whole) // 2} bytes of {len(whole)}" in problem


def test_another_library_has_the_operators(tmp_path):
    (tmp_path / "rival.py").write_text(
        'import torch\nlibrary = torch.library.Library("_C", "FRAGMENT")\n'
        'library.define("paged_attention_v1(Tensor x) -> ()")\n'
        "print('a module may print what it likes')\n"
    )
    found = diagnosis("--with", "rival", first=[tmp_path], code=1)
    assert found["clashes"] == ["_C::paged_attention_v1"]
    assert found["modules"] == [{"module": "rival", "error": None}]
    (problem,) = found["problems"]
    assert "_C::paged_attention_v1 already registered" in problem


@pytest.mark.parametrize(
    "code",
    [
        "from stablekv import KVCache",
        "import stablekv, torch\ntorch.ops._C.paged_attention_v1",
        "import stablekv.layouts\nstablekv.KVCache",
    ],
)
def test_a_module_that_uses_stablekv_has_all_of_it(tmp_path, code):
    (tmp_path / "user.py").write_text(code)
    found = diagnosis("--with", "user", first=[tmp_path], code=0)
    assert found["modules"] == [{"module": "user", "error": None}]
    assert found["clashes"] == []
    assert found["library"]["path"] == LIBRARY


def test_a_module_that_uses_stablekv_beside_another_library(tmp_path):
    (tmp_path / "rival.py").write_text(
        'import torch\nlibrary = torch.library.Library("_C", "FRAGMENT")\n'
        'library.define("paged_attention_v1(Tensor x) -> ()")\n'
    )
    (tmp_path / "user.py").write_text("from stablekv import KVCache")
    found = diagnosis("--with", "rival", "--with", "user", first=[tmp_path], code=1)
    assert found["clashes"] == ["_C::paged_attention_v1"]
    user, library = found["problems"]
    assert user.startswith("module user cannot be imported: ImportError: stablekv: cannot load")
    assert library.startswith("the library does not load: ImportError: stablekv: cannot load")


def test_a_module_that_ends_the_process_without_a_word(tmp_path):
    (tmp_path / "leaver.py").write_text("import os\nos._exit(0)\n")
    (problem,) = diagnosis("--with", "leaver", first=[tmp_path], code=1)["problems"]
    assert problem.endswith("before it was done at the stage 'modules'")


def test_a_path_that_the_terminal_cannot_show(tmp_path):
    copied = tmp_path / "\u0434\u043e\u043a\u0442\u043e\u0440"
    names = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PACKAGE, copied / "stablekv", ignore=names)
    strict = {"PYTHONIOENCODING": "ascii:strict", "STABLEKV_LIBRARY": LIBRARY}
    done = run_module("-m", "stablekv", "doctor", first=[copied], **strict)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u0434\u043e\u043a" in done.stdout


def test_a_module_that_is_not_there():
    (problem,) = diagnosis("--with", "no_such_module", code=1)["problems"]
    assert problem.startswith("module no_such_module cannot be imported: ModuleNotFoundError")


def test_nobody_reads_it():
    """As with `>&-`: the exit code says all."""
    done = run_module(
        "-c",
        "import os, sys; os.close(1); python = sys.executable; "
        "os.execv(python, [python, '-m', 'stablekv', 'doctor'])",
        STABLEKV_LIBRARY=LIBRARY,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
