"""Loading the library: every way in which it cannot be loaded is an ImportError in words."""

import pathlib
import shutil

import pytest
import stablekv
import torch
from stablekv import _library, _library_file, _loader, _operators

from tests.support.processes import check_python, run_python

PACKAGE = pathlib.Path(stablekv.__file__).parent
LIBRARY = str(_library.PATH)

# What is left of a process after a refusal: it runs, and the operators are not there.
_IMPORT_AND_PRINT = """
try:
    import stablekv
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
"""
_USE = """
import stablekv, torch
kv = stablekv.KVCache(num_layers=1, num_blocks=1, num_kv_heads=1, head_size=32)
one = torch.ones(1, 1, 32)
batch = kv.append([kv.add()])
kv.write(0, one, one, batch)
assert torch.equal(kv.attend(0, one, batch), one)
"""


@pytest.fixture
def copied_package(tmp_path):
    """The package in another place, without its library."""
    for source in PACKAGE.glob("*.py"):
        (tmp_path / "stablekv").mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / "stablekv" / source.name)
    return tmp_path


def test_an_operator_of_the_same_name_is_named():
    printed = check_python(
        """
        import torch
        other = torch.library.Library("_C", "FRAGMENT")
        other.define("paged_attention_v2(Tensor x) -> ()")
        """
        + _IMPORT_AND_PRINT.replace("\n", "\n        "),
        STABLEKV_LIBRARY=LIBRARY,
    )
    assert printed.startswith("ImportError: stablekv: cannot load")
    assert "_C::paged_attention_v2 already registered" in printed
    assert "_C::paged_attention_v1" not in printed
    assert "Import only one of them" in printed


def test_other_operators_in_the_namespaces_are_no_clash():
    check_python(
        """
        import torch
        other = torch.library.Library("_C_cache_ops", "FRAGMENT")
        other.define("reshape_and_cache_of_somebody_else(Tensor x) -> ()")
        """
        + _USE.replace("\n", "\n        "),
        STABLEKV_LIBRARY=LIBRARY,
    )


def test_a_second_copy_of_package_and_library_is_refused(copied_package):
    shutil.copy(LIBRARY, copied_package / "stablekv" / _loader.LIBRARY_NAME)
    printed = check_python(
        f"""
        import os
        os.environ["STABLEKV_LIBRARY"] = {LIBRARY!r}
        import stablekv
        del os.environ["STABLEKV_LIBRARY"]
        for name in [name for name in sys.modules if name.split(".")[0] == "stablekv"]:
            del sys.modules[name]
        sys.path.insert(0, {str(copied_package)!r})
        """
        + _IMPORT_AND_PRINT.replace("\n", "\n        ")
    )
    assert printed.startswith(f"ImportError: stablekv: cannot load {copied_package}")
    for name in _operators.qualified_names():
        assert name in printed


def test_loading_the_same_library_again_is_harmless(copied_package):
    """By reloading every module, from a second copy of the package, and by torch itself."""
    check_python(
        f"""
        import ctypes, importlib, torch
        torch.ops.load_library({LIBRARY!r})
        ctypes.CDLL({LIBRARY!r})
        import stablekv
        for name in [name for name in sys.modules if name.startswith("stablekv.")]:
            importlib.reload(sys.modules[name])
        importlib.reload(stablekv)
        for name in [name for name in sys.modules if name.split(".")[0] == "stablekv"]:
            del sys.modules[name]
        sys.path.insert(0, {str(copied_package)!r})
        import stablekv
        assert stablekv.__file__.startswith({str(copied_package)!r})
        """
        + _USE.replace("\n", "\n        "),
        STABLEKV_LIBRARY=LIBRARY,
    )


def test_a_torch_that_is_too_old_is_refused_before_anything_is_loaded():
    printed = check_python(
        """
        import torch
        torch.__version__ = "2.9.1+cu128"
        """
        + _IMPORT_AND_PRINT.replace("\n", "\n        ")
        + """
        print(hasattr(torch.ops._C, "paged_attention_v1"))
        """,
        STABLEKV_LIBRARY=LIBRARY,
    )
    assert printed.startswith("ImportError: stablekv needs torch >= 2.10, and this is torch 2.9.1")
    assert printed.endswith("False\n")


def test_a_library_without_the_operators_is_refused():
    stranger = pathlib.Path(torch.__file__).parent / "lib" / "libc10.so"
    printed = check_python(_IMPORT_AND_PRINT, STABLEKV_LIBRARY=str(stranger))
    assert "libc10.so does not define _C::" in printed
    assert "_C::paged_attention_v1" in printed


@pytest.mark.parametrize("version", ["2.10.0", "2.11.0+cu130", "2.13.0a0+git1234", "3.0.0", "10.1"])
def test_torch_versions_that_will_do(version):
    _loader.check_torch_version(version)


@pytest.mark.parametrize("version", ["1.13.1", "2.1.0", "2.9.1+cpu", "unknown", ""])
def test_torch_versions_that_will_not(version):
    with pytest.raises(ImportError, match=r"stablekv needs torch >= 2\.10"):
        _loader.check_torch_version(version)


def test_the_library_is_looked_for_beside_the_package(monkeypatch, tmp_path):
    monkeypatch.delenv("STABLEKV_LIBRARY", raising=False)
    monkeypatch.setattr(_library_file, "__file__", str(tmp_path / "_library_file.py"))
    with pytest.raises(ImportError, match=r"_C_stable_libtorch\.so is missing: .*STABLEKV_LIBRARY"):
        _loader.find_library()
    beside = tmp_path / "_C_stable_libtorch.so"
    beside.touch()
    assert _loader.find_library() == beside.resolve()


def test_the_variable_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("STABLEKV_LIBRARY", str(tmp_path / "mine.so"))
    with pytest.raises(
        ImportError, match=r"STABLEKV_LIBRARY names .*mine\.so, which is not a file"
    ):
        _loader.find_library()
    (tmp_path / "mine.so").touch()
    assert _loader.find_library() == (tmp_path / "mine.so").resolve()


def test_a_file_that_is_no_library_is_refused_in_words(tmp_path):
    junk = tmp_path / "junk.so"
    junk.write_text("not a library")
    with pytest.raises(ImportError, match=r"cannot load .*junk\.so into torch .*(invalid|short)"):
        _loader._open(junk)


@pytest.mark.parametrize("kept", [64, 4096, -1])
def test_a_file_that_is_cut_short_is_refused_in_words(kept, tmp_path):
    """Loading it would end the process."""
    whole = pathlib.Path(LIBRARY).read_bytes()
    cut = tmp_path / "cut.so"
    cut.write_bytes(whole[:kept])
    printed = check_python(_IMPORT_AND_PRINT, STABLEKV_LIBRARY=str(cut))
    assert f"cut.so is cut short: it has {len(whole[:kept])} bytes of {len(whole)}" in printed


def test_a_library_that_torch_refused_is_not_the_one_to_blame():
    """It was loaded by hand, behind one with an operator of its name, and registered nothing."""
    done = run_python(
        f"""
        import ctypes
        import torch
        library = torch.library.Library("_C", "FRAGMENT")
        library.define("paged_attention_v1(Tensor! out) -> ()")
        ctypes.CDLL({LIBRARY!r})
        """
        + _IMPORT_AND_PRINT.replace("\n", "\n        "),
        STABLEKV_LIBRARY=LIBRARY,
    )
    assert "torch refuses the operators of _C" in done.stderr
    assert "_C::paged_attention_v1 already registered" in done.stdout


@pytest.mark.parametrize("torch_can_list", [True, False])
def test_registered_operators_are_found(monkeypatch, torch_can_list):
    if not torch_can_list:
        monkeypatch.delattr(torch._C, "_dispatch_get_all_op_names")
    assert set(_loader.registered_operators()) == set(_operators.qualified_names())
    monkeypatch.setattr(_operators, "OPERATORS", {"_C": ("paged_attention_v1", "no_such_thing")})
    assert _loader.registered_operators() == ["_C::paged_attention_v1"]


def test_operators_of_the_library_are_not_of_others(monkeypatch, tmp_path):
    assert _loader.registered_by_others() == []
    with monkeypatch.context() as refused:
        refused.setattr(_loader, "_was_refused", lambda path: True)
        assert _loader.registered_by_others() == _loader.registered_operators()
    for library in ("missing.so", "empty.so"):
        monkeypatch.setenv("STABLEKV_LIBRARY", str(tmp_path / library))
        assert _loader.registered_by_others() == _loader.registered_operators()
        (tmp_path / "empty.so").touch()
