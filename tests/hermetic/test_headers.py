"""Compiles read what the build declares, and of the machine the compiler's and libc's headers.

Bazel itself refuses a C++ compile that has read anything else; but the machine's own folders of
headers it lets pass whole, and of nvcc it asks nothing. A toolkit or a torch that a distribution
installs into /usr/include would be found there.
"""

import importlib.util
import os
import pathlib
import re

import pytest

_CUDA = pathlib.Path(os.environ["TEST_SRCDIR"], "stablekv_cuda/include")
_TORCH = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "include"
_GCC = re.compile(r"/usr(/local)?/(lib(64)?/gcc(-cross)?|include/c\+\+|include/[\w-]+/c\+\+)/")
_LIBC = re.compile(r"/usr/include/")


def read_by(path):
    """The paths in a list of make's: `object: source header \\`."""
    text = path.read_text().replace("\\\n", " ")
    return text.partition(": ")[2].split()


def complaint(path, packages):
    """Why a compile should not have read `path`; empty if it may."""
    if not path.startswith("/"):
        return ""  # in the sandbox, where there are the declared inputs only
    path = os.path.normpath(path)
    if _GCC.match(path):
        return ""
    if not _LIBC.match(path):
        return f"{path} is no header of the compiler's or of libc's"
    inside = path.removeprefix("/usr/include/")
    for name, root in packages.items():
        # A distribution may have put them one folder deeper, too.
        if (root / inside).exists() or (root / inside.partition("/")[2]).is_file():
            return f"{path} is the machine's, and {name} has it"
    return ""


_LISTS = [pathlib.Path(path) for path in os.environ["STABLEKV_HEADER_LISTS"].split()]
_PACKAGES = {"CUDA": _CUDA, "torch": _TORCH}


def test_every_compile_has_a_list():
    sources = {path for name in _LISTS for path in read_by(name)}
    # The C++ of the bindings and of the kernels, and CUDA where it is built.
    assert "csrc/libtorch_stable/registration.cc" in sources
    assert "csrc/kernels/cache/reshape_and_cache_cpu.cc" in sources
    if _CUDA.exists():
        assert "csrc/kernels/cache/cuda/reshape_and_cache.cu" in sources


def test_only_declared_headers_and_those_of_compiler_and_libc():
    reader = {path: name for name in _LISTS for path in read_by(name)}
    complaints = [
        f"{reader[path]}: {words}"
        for path in sorted(reader)
        if (words := complaint(path, _PACKAGES))
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("csrc/kernels/common/types.h", ""),
        ("external/stablekv_cuda/include/cuda_fp16.h", ""),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/include/stddef.h", ""),
        ("/usr/include/c++/12/cstdint", ""),
        ("/usr/include/x86_64-linux-gnu/c++/12/bits/c++config.h", ""),
        ("/usr/include/stdio.h", ""),
        ("/usr/include/linux/../linux/limits.h", ""),
        ("/usr/include/cuda_fp16.h", "CUDA has it"),
        ("/usr/include/cuda-13/cuda_fp16.h", "CUDA has it"),
        ("/usr/include/torch/version.h", "torch has it"),
        ("/usr/local/cuda/include/cuda_fp16.h", "no header of"),
        ("/usr/local/include/cuda_fp16.h", "no header of"),
        ("/opt/conda/include/x.h", "no header of"),
    ],
)
def test_the_check_knows_a_leak(path, words, tmp_path):
    for root, header in (("cuda", "cuda_fp16.h"), ("torch", "torch/version.h")):
        (tmp_path / root / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / root / header).touch()
    found = complaint(path, {"CUDA": tmp_path / "cuda", "torch": tmp_path / "torch"})
    assert words in found
    assert bool(words) == bool(found)
