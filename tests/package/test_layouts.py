"""Shapes, dtypes and names of stablekv.layouts."""

import pytest
import torch
from stablekv import layouts


@pytest.mark.parametrize(
    "dtype, x",
    [(torch.float32, 4), (torch.float16, 8), (torch.bfloat16, 8), (torch.uint8, 16)],
)
def test_shapes_of_the_caches(dtype, x):
    assert layouts.elements_per_chunk(dtype) == x
    assert layouts.key_cache_shape(7, 3, 64, 16, dtype) == (7, 3, 64 // x, 16, x)
    assert layouts.value_cache_shape(7, 3, 64, 16) == (7, 3, 64, 16)


def test_a_head_that_does_not_fill_its_chunks_is_refused():
    assert layouts.key_cache_shape(1, 1, 120, 8, torch.float16) == (1, 1, 15, 8, 8)
    with pytest.raises(ValueError, match=r"head_size must be a multiple of 16 .*, got 120"):
        layouts.key_cache_shape(1, 1, 120, 8, torch.uint8)


@pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES)
def test_storage_dtype(dtype):
    assert layouts.storage_dtype("auto", dtype) == dtype
    for fp8 in ("fp8", "fp8_e4m3", "fp8_e5m2"):
        assert layouts.storage_dtype(fp8, dtype) == torch.uint8
        assert layouts.is_fp8(fp8)
    for name, named in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        assert not layouts.is_fp8(name)
        if named == dtype:
            assert layouts.storage_dtype(name, dtype) == dtype
        else:
            with pytest.raises(ValueError, match=f"kv_cache_dtype must be .*, got '{name}'"):
                layouts.storage_dtype(name, dtype)


@pytest.mark.parametrize("unknown", ["", "float32", "fp4", "FP8", "fp8_ds_mla"])
def test_unknown_kv_cache_dtypes_are_refused(unknown):
    with pytest.raises(ValueError, match=f"kv_cache_dtype must be one of auto.*, got '{unknown}'"):
        layouts.is_fp8(unknown)
    with pytest.raises(ValueError, match="kv_cache_dtype must be one of"):
        layouts.storage_dtype(unknown, torch.float32)


def test_names_of_dtypes():
    for dtype in layouts.ELEMENT_DTYPES:
        assert layouts.dtype_from_name(layouts.dtype_name(dtype)) == dtype
    assert layouts.dtype_from_name("half") == torch.float16
    assert layouts.dtype_from_name("float") == torch.float32
    with pytest.raises(ValueError, match=r"dtype must be one of .*, got 'int8'"):
        layouts.dtype_from_name("int8")
    with pytest.raises(ValueError, match=r"dtype must be one of .*, got torch\.float64"):
        layouts.dtype_name(torch.float64)


@pytest.mark.parametrize("tokens, partitions", [(0, 0), (1, 1), (512, 1), (513, 2), (1024, 2)])
def test_num_partitions(tokens, partitions):
    assert layouts.num_partitions(tokens) == partitions


def test_allocate_cache():
    key_cache, value_cache = layouts.allocate_cache(
        5, 2, 96, 8, dtype=torch.bfloat16, kv_cache_dtype="fp8_e5m2"
    )
    assert key_cache.shape == (5, 2, 6, 8, 16)
    assert value_cache.shape == (5, 2, 96, 8)
    assert key_cache.dtype == value_cache.dtype == torch.uint8
    assert not key_cache.any() and not value_cache.any()


def test_both_caches_are_on_the_device():
    caches = layouts.allocate_cache(2, 1, 64, 16, dtype=torch.float32, device="meta")
    assert [cache.device.type for cache in caches] == ["meta", "meta"]


_GOOD = dict(num_blocks=2, num_kv_heads=1, head_size=64, block_size=16, dtype=torch.float32)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"head_size": 48}, "head_size must be one of 32, .*, got 48"),
        ({"num_blocks": -1}, "num_blocks must be >= 0, got -1"),
        ({"num_blocks": 2**31}, "num_blocks must be <= 2147483647, got 2147483648"),
        ({"num_kv_heads": 0}, "num_kv_heads must be >= 1, got 0"),
        ({"num_kv_heads": 2**31}, "num_kv_heads must be <= 2147483647, got 2147483648"),
        ({"block_size": 12}, "block_size must be one of 8, 16, 32, got 12"),
        ({"dtype": torch.float64}, r"dtype must be one of .*, got torch\.float64"),
        ({"kv_cache_dtype": "fp4"}, "kv_cache_dtype must be one of .*, got 'fp4'"),
        ({"head_size": 120, "kv_cache_dtype": "fp8"}, "head_size must be a multiple of 16"),
    ],
)
def test_allocate_cache_refuses_what_the_operators_do(change, message):
    with pytest.raises(ValueError, match=message):
        layouts.allocate_cache(**{**_GOOD, **change})


@pytest.mark.parametrize("name", ["num_blocks", "num_kv_heads", "head_size", "block_size"])
def test_allocate_cache_takes_whole_numbers(name):
    number = float(_GOOD[name])
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got {number}"):
        layouts.allocate_cache(**{**_GOOD, name: number})
