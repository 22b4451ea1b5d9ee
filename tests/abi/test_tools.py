"""The readers behind the checks: ELF files, guards of headers, schemas, names."""

from __future__ import annotations

import pathlib
import struct

import pytest

from tools.abi import demangle, elf, schemas, shim

SHIM_HEADER = """
#ifndef GUARD
AOTI_TORCH_EXPORT int32_t aoti_torch_old();
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_10_0
AOTI_TORCH_EXPORT AOTITorchError
torch_ten(int64_t size); // and not torch_comment()
#ifdef USE_CUDA
AOTI_TORCH_EXPORT AOTITorchError torch_ten_cuda();
#endif // USE_CUDA
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_13_0
AOTI_TORCH_EXPORT AOTITorchError torch_nested();
#endif
#endif
#define MACRO(x) \\
  torch_of_a_macro(x)
AOTI_TORCH_EXPORT void aoti_torch_also_old();
#endif
"""


def test_guards_of_a_header():
    functions = shim.parse(SHIM_HEADER)
    assert {name: (f.since, f.cuda) for name, f in functions.items()} == {
        "aoti_torch_old": ((2, 9), False),
        "torch_ten": ((2, 10), False),
        "torch_ten_cuda": ((2, 10), True),
        "torch_nested": ((2, 13), False),
        "aoti_torch_also_old": ((2, 9), False),
    }


@pytest.mark.parametrize(
    ("name", "since", "cuda"),
    [
        ("aoti_torch_get_dim", (2, 9), False),
        ("aoti_torch_get_current_cuda_stream", (2, 9), True),
        ("torch_call_dispatcher", (2, 10), False),
        ("aoti_torch_aten_full", (2, 10), False),
        ("torch_c10_cuda_check_msg", (2, 10), True),
        ("torch_from_blob", (2, 11), False),
        ("torch_library_def_with_tags", (2, 12), False),
        ("torch_stream_native_handle", (2, 13), False),
    ],
)
def test_first_versions_in_the_headers_of_the_build(name, since, cuda):
    assert shim.of_build()[name] == shim.Function(since, cuda)


def test_names_are_readable():
    assert demangle.demangle("_ZN3c105ErrorD1Ev") == "c10::Error::~Error()"
    assert demangle.demangle("aoti_torch_get_dim") == "aoti_torch_get_dim"
    assert demangle.demangle("_Zwrong") == "_Zwrong"


def test_schemas_are_told_from_other_texts(tmp_path: pathlib.Path):
    texts = [
        "plain(Tensor x, int[2] stride=[1, 1], str mode='x') -> ()",
        "space::name.overload(Tensor(a!) out, Tensor? bias, *, float scale=1.0) -> Tensor(a!)",
        "nothing() -> int",
        "f(x) -> y is no schema",
        "operator(Thing t) -> Tensor",
        "a message (Tensor x) -> and more",
    ]
    path = tmp_path / "file"
    path.write_bytes(b"\0\x7f" + b"\0".join(text.encode() for text in texts) + b"\0")
    assert list(schemas.find(path)) == ["nothing", "plain", "space::name.overload"]


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(60), b"\x7fELF\x02\x01" + bytes(99)],
)
def test_what_is_no_library_is_refused(tmp_path: pathlib.Path, data: bytes):
    path = tmp_path / "file.so"
    path.write_bytes(data)
    with pytest.raises(elf.ElfError, match=r"file\.so: "):
        elf.read(path)


def test_a_library_that_is_cut_short_is_refused(tmp_path: pathlib.Path):
    header = bytearray(b"\x7fELF\x02\x01" + bytes(58))
    struct.pack_into("<Q", header, 40, 1 << 40)
    struct.pack_into("<HH", header, 58, 64, 3)
    path = tmp_path / "file.so"
    path.write_bytes(header)
    with pytest.raises(elf.ElfError):
        elf.read(path)
