"""What crosses between torch and the shipped library: strings, errors, memory, threads."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys

import pytest
import stablekv
import torch
from stablekv import _loader

ONE = torch.tensor(1.0)
NO_MEMORY = (
    "value must have memory for all its elements, "
    "got a storage that was freed or is too small for shape "
)


def reshape_arguments(tokens: int = 1) -> dict[str, object]:
    """A right call in float32: 2 heads of 64, 4 blocks of 16, the slots 0, 1, ..."""
    return {
        "key": torch.randn(tokens, 2, 64),
        "value": torch.randn(tokens, 2, 64),
        "key_cache": torch.zeros(4, 2, 16, 16, 4),
        "value_cache": torch.zeros(4, 2, 64, 16),
        "slot_mapping": torch.arange(tokens),
        "kv_cache_dtype": "auto",
        "k_scale": ONE,
        "v_scale": ONE,
    }


def attention_arguments(num_seqs: int = 1) -> list[object]:
    """A right call of paged_attention_v1 on an empty cache, ALiBi included."""
    query = torch.randn(num_seqs, 2, 64)
    caches = [torch.zeros(4, 2, 16, 16, 4), torch.zeros(4, 2, 64, 16)]
    tables = torch.zeros(num_seqs, 4, dtype=torch.int32)
    lengths = torch.full((num_seqs,), 64, dtype=torch.int32)
    head = [torch.empty_like(query), query, *caches, 2, 0.125, tables, lengths, 16, 64]
    return [*head, torch.zeros(2), "auto", ONE, ONE, 0, 0, 0, 64, 0]


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_a_process_of_its_own(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` after `import torch, stablekv` with this process's paths."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    return subprocess.run(
        [sys.executable, "-c", "import os, threading\nimport torch, stablekv\n" + code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8_e4m3", "a text of more than 15 bytes"])
def test_string_arguments_do_not_leak(kv_cache_dtype):
    """The headers' own std::string loses 48 to 96 bytes a call: 3 to 6 MB here."""
    operator = torch.ops._C_cache_ops.reshape_and_cache.default
    arguments = [*reshape_arguments(tokens=0).values()]
    arguments[5] = kv_cache_dtype

    def call(times: int) -> None:
        for _ in range(times):
            try:
                operator(*arguments)
            except RuntimeError:
                assert kv_cache_dtype != "auto"

    call(10_000)
    before = resident_bytes()
    call(60_000)
    assert resident_bytes() - before < 1_000_000


def test_optional_tensors_do_not_leak():
    operator = torch.ops._C.paged_attention_v1.default
    arguments = attention_arguments(num_seqs=0)
    for _ in range(10_000):
        operator(*arguments)
    before = resident_bytes()
    for _ in range(60_000):
        operator(*arguments)
    assert resident_bytes() - before < 500_000


@pytest.mark.parametrize("text", ["", "ÅÆ", "with\0zero", "x" * 100_000])
def test_any_text_reaches_the_message_whole(text):
    arguments = reshape_arguments() | {"kv_cache_dtype": text}
    with pytest.raises(RuntimeError) as error:
        torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())
    wanted = (
        'reshape_and_cache: kv_cache_dtype must be "auto", "float16", "bfloat16", "fp8", '
        f'"fp8_e4m3" or "fp8_e5m2", got "{text}" (Unsupported data type of kv cache: {text})'
    )
    # A C string ends at its first zero.
    assert str(error.value) == wanted.split("\0")[0]


def test_an_error_is_the_message_and_nothing_else():
    """No source path, no name of a C++ function, no backtrace on stderr."""
    result = in_a_process_of_its_own(
        "one = torch.tensor(1.0)\n"
        "try:\n"
        "    torch.ops._C_cache_ops.reshape_and_cache(torch.zeros(1, 2, 64), torch.zeros(1, 2, 64),"
        " torch.zeros(4, 2, 16, 16, 4), torch.zeros(4, 2, 64, 8), torch.zeros(1).long(), 'auto',"
        " one, one)\n"
        "except RuntimeError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    assert result.stderr == ""
    assert result.stdout == (
        "RuntimeError reshape_and_cache: value_cache must have shape "
        "[num_blocks, num_kv_heads, head_size, block_size] = [4, 2, 64, 16], got [4, 2, 64, 8]\n"
    )


def test_a_sparse_tensor_is_refused():
    arguments = reshape_arguments()
    arguments["key"] = arguments["key"].to_sparse()
    with pytest.raises(NotImplementedError, match="SparseCPU"):
        torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())


def test_meta_tensors_go_to_the_fake_kernel():
    arguments = {
        name: value.to("meta") if isinstance(value, torch.Tensor) else value
        for name, value in reshape_arguments().items()
    }
    assert torch.ops._C_cache_ops.reshape_and_cache(*arguments.values()) is None


def test_memory_that_was_freed_is_refused():
    arguments = reshape_arguments(tokens=3)
    arguments["value"] = arguments["value"][1:]  # an offset, which hides that the storage is null
    arguments["slot_mapping"] = arguments["slot_mapping"][:2]
    arguments["value"].untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=NO_MEMORY + r"\[2, 2, 64\]$"):
        torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())


def test_memory_that_was_cut_short_is_refused():
    arguments = reshape_arguments(tokens=3)
    arguments["value"].untyped_storage().resize_(arguments["value"].nbytes - 1)
    with pytest.raises(RuntimeError, match=NO_MEMORY + r"\[3, 2, 64\]$"):
        torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())


def test_copy_on_write_inputs_stay_shared_and_outputs_do_not():
    arguments = reshape_arguments()
    original = arguments["key_cache"]
    arguments["key"] = torch._lazy_clone(arguments["key"])
    arguments["key_cache"] = torch._lazy_clone(original)
    torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())
    assert torch._C._is_cow_tensor(arguments["key"])
    assert not torch._C._is_cow_tensor(arguments["key_cache"])
    assert torch.equal(original, torch.zeros_like(original))
    assert torch.equal(arguments["key_cache"][0, :, :, 0].flatten(), arguments["key"].flatten())


def test_a_tensor_that_requires_grad_is_only_read():
    arguments = reshape_arguments()
    arguments["key"].requires_grad_()
    with torch.no_grad():
        torch.ops._C_cache_ops.reshape_and_cache(*arguments.values())
    assert arguments["key"].requires_grad
    assert not arguments["key_cache"].requires_grad
    assert torch.equal(
        arguments["key_cache"][0, :, :, 0].flatten(), arguments["key"].detach().flatten()
    )


def test_threads_are_those_of_torch():
    """One thread asked for: none is started. Three: torch's pool, which does the work."""
    result = in_a_process_of_its_own(
        f"from {__name__} import attention_arguments\n"
        "def threads(): return len(os.listdir('/proc/self/task'))\n"
        "arguments = attention_arguments(num_seqs=4096)\n"
        "torch.set_num_threads(1)\n"
        "before = threads()\n"
        "torch.ops._C.paged_attention_v1(*arguments)\n"
        "alone = threads()\n"
        "torch.set_num_threads(3)\n"
        "torch.ops._C.paged_attention_v1(*arguments)\n"
        "print(alone - before, threads() - alone)\n"
    )
    assert (result.stdout, result.stderr) == ("0 2\n", "")


def test_build_info_is_true():
    function = ctypes.CDLL(str(_loader.find_library())).stablekv_build_info
    function.restype = ctypes.c_char_p
    info = json.loads(function())
    assert sorted(info) == [
        "cache_namespace",
        "cuda",
        "cuda_archs",
        "cuda_version",
        "namespace",
        "registered",
        "torch_headers",
        "torch_target",
    ]
    assert info["registered"] is True
    assert info["torch_target"] == ".".join(map(str, stablekv._loader.MINIMUM_TORCH))
    for name in ["paged_attention_v1", "paged_attention_v2"]:
        name = f"{info['namespace']}::{name}"
        has = torch._C._dispatch_has_kernel_for_dispatch_key
        assert has(name, "CPU")
        assert has(name, "CUDA") == info["cuda"]
    assert info["cuda"] == bool(info["cuda_archs"])
    assert re.fullmatch(r"\d+\.\d+" if info["cuda"] else "", info["cuda_version"])
