"""What reshape_and_cache_flash writes to nvfp4 caches, in plain torch: slow, obvious.

Arguments are taken to be valid. Arithmetic is that of the operator: one float32 operation after the
other, rounded to nearest.
"""

from __future__ import annotations

import torch

from stablekv.reference import decode_fp8, encode_fp8

GROUP = 16  # elements that share a scale
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # of codes 0 to 7; bit 3 is the sign

# The largest magnitude that code i gets, and whether it gets it (a tie goes to the even code).
_LIMITS = (
    (0.25, True),
    (0.75, False),
    (1.25, True),
    (1.75, False),
    (2.5, True),
    (3.5, False),
    (5.0, True),
)
_ONE = torch.ones((), dtype=torch.float32)


def encode_e2m1(x: torch.Tensor) -> torch.Tensor:
    """The codes of float32 elements: to nearest even, saturated at 6; NaN is +6, -0 stays -0."""
    magnitude = x.abs()
    code = torch.zeros(x.shape, dtype=torch.uint8)
    for limit, included in _LIMITS:
        code += (magnitude > limit) if included else (magnitude >= limit)
    code |= x.signbit().to(torch.uint8) << 3
    return code.masked_fill(x.isnan(), 7)


def encode_groups(x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The bytes that store [.., 16] elements: [.., 8] of codes, the even one low, and scales [..].

    The scale of a group is its largest magnitude, NaN left out, by 6 * `scale`, in e4m3.
    """
    x = x.float()
    scale = scale.flatten()[0]
    amax = x.abs().masked_fill(x.isnan(), 0.0).amax(-1)
    inverse = _ONE / scale
    scale_codes = encode_fp8(inverse * (amax * (_ONE / 6)), _ONE, torch.float8_e4m3fn)
    stored = decode_fp8(scale_codes, _ONE, torch.float8_e4m3fn).float()
    multiplier = (_ONE / (stored * (_ONE / inverse))).masked_fill(stored == 0, 0.0)
    codes = encode_e2m1(x * multiplier[..., None])
    return codes[..., 0::2] | codes[..., 1::2] << 4, scale_codes


def planes(cache: torch.Tensor, hnd: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The two planes of every page, as views [num_blocks, block_size, num_heads, bytes]."""
    num_blocks, block_size, num_heads, size = cache.shape
    outer, inner = (num_heads, block_size) if hnd else (block_size, num_heads)
    data, start = size // 9 * 8, cache.storage_offset()
    views = []
    for width in (data, size - data):
        shape = (num_blocks, outer, inner, width)
        strides = (cache.stride(0), inner * width, width, 1)
        view = cache.as_strided(shape, strides, start)
        views.append(view.transpose(1, 2) if hnd else view)
        start += outer * inner * width
    return views[0], views[1]


def is_hnd(cache: torch.Tensor) -> bool:
    """Whether heads are outside of tokens in the pages of a cache."""
    return cache.shape[2] > 1 and cache.stride(2) > cache.stride(1)


def swizzled_place(offset: int, group: int, groups: int) -> tuple[int, int]:
    """The token and the column where the scale of a token and a group lies in a swizzled plane."""
    quarter = groups // 4
    return offset // 4 * 4 + group // quarter, group % quarter * 4 + offset % 4


def dequantise(cache: torch.Tensor, scale: torch.Tensor, swizzled: bool) -> torch.Tensor:
    """The values [num_blocks, block_size, num_heads, head_size] of a cache, in float64."""
    data, scales = planes(cache, is_hnd(cache))
    block_size, groups = scales.shape[1], scales.shape[3]
    linear = scales.clone()
    if swizzled:
        for offset in range(block_size):
            for group in range(groups):
                token, column = swizzled_place(offset, group, groups)
                linear[:, offset, :, group] = scales[:, token, :, column]
    codes = torch.stack([data & 15, data >> 4], -1).flatten(-2).long()
    values = torch.tensor([*MAGNITUDES, *(-m for m in MAGNITUDES)], dtype=torch.float64)[codes]
    return values * decode_fp8(linear, scale, torch.float8_e4m3fn).repeat_interleave(GROUP, -1)


def reshape_and_cache_flash(
    key: torch.Tensor,
    value: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    swizzle_values: bool = True,
) -> None:
    """As stablekv.reshape_and_cache_flash with "nvfp4"; `swizzle_values` is False on SM 12x."""
    assert kv_cache_dtype == "nvfp4"
    hnd, block_size = is_hnd(key_cache), key_cache.shape[1]
    groups = key.shape[2] // GROUP
    sides = ((key, key_cache, k_scale, False), (value, value_cache, v_scale, swizzle_values))
    for source, cache, scale, swizzled in sides:
        data, scales = planes(cache, hnd)
        bytes_of, scales_of = encode_groups(source.unflatten(2, (groups, GROUP)), scale)
        for i, slot in enumerate(slot_mapping.tolist()):
            if slot < 0:
                continue
            block, offset = divmod(slot, block_size)
            data[block, offset] = bytes_of[i].flatten(1)
            for group in range(groups):
                place = swizzled_place(offset, group, groups) if swizzled else (offset, group)
                scales[block, place[0], :, place[1]] = scales_of[i, :, group]
