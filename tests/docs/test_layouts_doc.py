"""The address formulas of docs/layouts.md, evaluated against what the operators write."""

import os
import pathlib
import re

import pytest
import stablekv
import torch

NUM_BLOCKS, BLOCK_SIZE = 3, 8
SLOTS = torch.arange(NUM_BLOCKS * BLOCK_SIZE).flip(0)  # token i goes to slot SLOTS[i]
ONE = torch.ones(())


def formulas() -> dict[str, str]:
    path = pathlib.Path(os.environ["STABLEKV_LAYOUTS"])
    return dict(re.findall(r"```formula ([\w-]+)\n(.+?)\n```", path.read_text(), re.DOTALL))


def offsets(name: str, size: int, **sizes: int) -> torch.Tensor:
    """Offsets by formula of all elements d < size, a row for each token as the operators get it."""
    code = compile(formulas()[name], name, "eval")
    names = {"block_size": BLOCK_SIZE, "num_blocks": NUM_BLOCKS, **sizes}
    rows = []
    for slot in SLOTS.tolist():
        place = {"block": slot // BLOCK_SIZE, "token": slot % BLOCK_SIZE}
        rows.append([eval(code, {}, {**names, **place, "d": d}) for d in range(size)])
    return torch.tensor(rows)


def numbered(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Distinct values, exact in `dtype`, so that an element in a wrong place shows."""
    count = torch.Size(shape).numel()
    assert dtype == torch.float32 or count <= 2**15
    return torch.arange(1, count + 1).reshape(shape).to(torch.float32).to(dtype)


@pytest.mark.parametrize("kind", ["key", "value"])
@pytest.mark.parametrize("num_heads, head_size", [(1, 32), (3, 64), (2, 80)])
def test_paged(kind, num_heads, head_size):
    x = 4  # float32
    sizes = dict(num_heads=num_heads, head_size=head_size, x=x)
    key = numbered(len(SLOTS), num_heads, head_size)
    value = key + key.numel()
    key_cache = torch.zeros(NUM_BLOCKS, num_heads, head_size // x, BLOCK_SIZE, x)
    value_cache = torch.zeros(NUM_BLOCKS, num_heads, head_size, BLOCK_SIZE)
    stablekv.reshape_and_cache(key, value, key_cache, value_cache, SLOTS, "auto", ONE, ONE)
    source, cache = (key, key_cache) if kind == "key" else (value, value_cache)
    for head in range(num_heads):
        at = offsets(f"paged-{kind}", head_size, head=head, **sizes)
        assert torch.equal(cache.flatten()[at], source[:, head])


def pages_of(layout: str, num_heads: int, head_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The memory of keys and values, [2, elements], and both caches as the operator takes them."""
    rows = (num_heads, BLOCK_SIZE) if layout == "hnd" else (BLOCK_SIZE, num_heads)
    if layout == "page":
        memory = torch.zeros(NUM_BLOCKS, 2, *rows, head_size)
        return memory.flatten().expand(2, -1), memory.transpose(0, 1)
    memory = torch.zeros(2, NUM_BLOCKS, *rows, head_size)
    return memory.flatten(1), memory.transpose(2, 3) if layout == "hnd" else memory


@pytest.mark.parametrize("name", ["flash-nhd", "flash-hnd", "flash-page"])
@pytest.mark.parametrize("num_heads, head_size", [(1, 32), (3, 40)])
def test_flash(num_heads, head_size, name):
    source = numbered(2, len(SLOTS), num_heads, head_size)
    memory, caches = pages_of(name.removeprefix("flash-"), num_heads, head_size)
    stablekv.reshape_and_cache_flash(*source, *caches, SLOTS, "auto", ONE, ONE)
    for side in range(2):
        for head in range(num_heads):
            sizes = dict(num_heads=num_heads, head_size=head_size, head=head, side=side)
            at = offsets(name, head_size, **sizes)
            assert torch.equal(memory[side][at], source[side, :, head])


@pytest.mark.parametrize("rank, rope", [(32, 16), (512, 64)])
def test_mla(rank, rope):
    source = numbered(len(SLOTS), rank + rope)
    cache = torch.zeros(NUM_BLOCKS, BLOCK_SIZE, rank + rope)
    kv_c, k_pe = source[:, :rank], source[:, rank:]
    stablekv.concat_and_cache_mla(kv_c, k_pe, cache, SLOTS, "auto", ONE)
    assert torch.equal(cache.flatten()[offsets("mla", rank + rope, R=rank, P=rope)], source)


def test_ds_mla():
    kv_c = torch.randn(len(SLOTS), 512).to(torch.bfloat16)
    k_pe = torch.randn(len(SLOTS), 64).to(torch.bfloat16)
    cache = torch.zeros(NUM_BLOCKS, BLOCK_SIZE, 656, dtype=torch.uint8)
    stablekv.concat_and_cache_mla(kv_c, k_pe, cache, SLOTS, "fp8_ds_mla", ONE)
    flat = cache.flatten()
    amax = kv_c.float().reshape(-1, 4, 128).abs().amax(2)
    scale = (amax / 448).repeat_interleave(128, dim=1)
    at = offsets("ds-mla-scale", 512)
    stored = flat[at[..., None] + torch.arange(4)].view(torch.float32)[..., 0]
    assert torch.equal(stored, scale)
    bytes_of = (kv_c.float() / scale).to(torch.float8_e4m3fn).view(torch.uint8)
    assert torch.equal(flat[offsets("ds-mla-value", 512)], bytes_of)
    at = offsets("ds-mla-rope", 64)
    assert torch.equal(flat[at[..., None] + torch.arange(2)].view(torch.bfloat16)[..., 0], k_pe)


@pytest.mark.parametrize("group", [64, 128])
def test_indexer(group):
    head_dim = 256
    k = torch.randn(len(SLOTS), head_dim).to(torch.bfloat16)
    groups = head_dim // group
    cache = torch.zeros(NUM_BLOCKS, BLOCK_SIZE, head_dim + 4 * groups, dtype=torch.uint8)
    stablekv.indexer_k_quant_and_cache(k, cache, SLOTS, group, "")
    flat = cache.flatten()
    amax = k.float().reshape(-1, groups, group).abs().amax(2)
    scale = (amax.clamp(min=1e-4) / 448).repeat_interleave(group, dim=1)
    at = offsets("indexer-scale", head_dim, head_dim=head_dim, group=group)
    assert torch.equal(flat[at[..., None] + torch.arange(4)].view(torch.float32)[..., 0], scale)
    bytes_of = (k.float() / scale).to(torch.float8_e4m3fn).view(torch.uint8)
    at = offsets("indexer-value", head_dim, head_dim=head_dim, group=group)
    assert torch.equal(flat[at], bytes_of)


@pytest.mark.parametrize("hnd", [False, True], ids=["NHD", "HND"])
@pytest.mark.parametrize("num_heads, head_size", [(1, 64), (3, 128)])
def test_nvfp4(num_heads, head_size, hnd):
    """Exact values: codes times scales of powers of two, each group with a 6 of its own."""
    magnitudes = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    codes = torch.randint(16, (2, len(SLOTS), num_heads, head_size))
    codes[..., ::16] = 7
    exponents = torch.randint(-6, 9, (2, len(SLOTS), num_heads, head_size // 16))
    scales = exponents.exp2().repeat_interleave(16, dim=-1)
    source = magnitudes[codes & 7] * (1 - 2 * (codes >> 3)) * scales
    source[(codes & 7 == 0) & (codes >> 3 == 1)] = -0.0
    width = head_size // 16 * 9
    outer = (num_heads, BLOCK_SIZE) if hnd else (BLOCK_SIZE, num_heads)
    pages = torch.zeros(2, NUM_BLOCKS, *outer, width, dtype=torch.uint8)
    caches = pages.transpose(2, 3) if hnd else pages
    key, value = source.to(torch.bfloat16)
    stablekv.reshape_and_cache_flash(key, value, *caches, SLOTS, "nvfp4", ONE, ONE)
    rows = (1, BLOCK_SIZE) if hnd else (num_heads, 1)
    sizes = dict(num_heads=num_heads, head_size=head_size, token_rows=rows[0], head_rows=rows[1])
    for side, scale_formula in enumerate(("nvfp4-scale", "nvfp4-scale-swizzled")):
        page_bytes = pages[side].flatten()
        for head in range(num_heads):
            stored = page_bytes[offsets("nvfp4-data", head_size, head=head, **sizes)]
            shift = torch.arange(head_size) % 2 * 4
            assert torch.equal(stored >> shift & 15, codes[side, :, head])
            at = offsets(scale_formula, head_size, head=head, **sizes)
            decoded = page_bytes[at].view(torch.float8_e4m3fn).float()
            assert torch.equal(decoded, scales[side, :, head])


def test_every_formula_has_a_test():
    source = pathlib.Path(__file__).read_text()
    for name in formulas():
        assert f'"{name}"' in source or f'f"{name.rpartition("-")[0]}-{{kind}}"' in source, name
