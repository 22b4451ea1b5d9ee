"""What an operator takes, as rows of a table, and the calls that follow: good ones and bad ones.

A row says of one tensor its dimensions, dtype and which dimensions must lie without gaps. From it
follow calls that must be refused (every other dtype, a dimension more or less, a size off by one, a
gap, another device) and calls that must work (gaps, sizes and dtypes that the row allows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from stablekv import layouts

from tests.support import tensors

Arguments = dict[str, Any]
Change = Callable[[Arguments], None]

_DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.uint16,
    torch.complex64,
)

ELEMENT = "element"  # the dtype of queries and keys of the call
HALF = "half"  # the same, or bfloat16 where that is float32
CACHE = "cache"  # what the call's kv_cache_dtype stores
OUTPUT = "output"  # float8_e4m3fn for a kv_cache_dtype in fp8, or else that of ELEMENT
WIDENED = "widened"  # any dtype of elements for a kv_cache_dtype in fp8, or else that of ELEMENT

# A dtype, one of several, one of the words above, or what a function of the variant returns.
Accepted = torch.dtype | tuple[torch.dtype, ...] | str | Callable[[Any], tuple[torch.dtype, ...]]


@dataclass(frozen=True)
class Variant:
    """The dtypes of a call."""

    dtype: torch.dtype
    kv_cache_dtype: str

    def __str__(self) -> str:
        return f"{layouts.dtype_name(self.dtype)}-{self.kv_cache_dtype}"

    @property
    def half(self) -> torch.dtype:
        """The dtype of a call of an operator that takes 16-bit elements only."""
        return torch.bfloat16 if self.dtype == torch.float32 else self.dtype

    def accepts(self, dtype: Accepted) -> tuple[torch.dtype, ...]:
        """The dtypes that a row's `dtype` stands for in this call."""
        if isinstance(dtype, torch.dtype):
            return (dtype,)
        if isinstance(dtype, tuple):
            return dtype
        if callable(dtype):
            return dtype(self)
        if dtype == HALF:
            return (self.half,)
        if dtype == OUTPUT and layouts.is_fp8(self.kv_cache_dtype):
            return (torch.float8_e4m3fn,)
        if dtype == WIDENED and layouts.is_fp8(self.kv_cache_dtype):
            return (self.dtype, *(d for d in layouts.ELEMENT_DTYPES if d != self.dtype))
        if dtype == CACHE and layouts.is_fp8(self.kv_cache_dtype):
            return (torch.uint8, layouts.FP8_FORMATS[self.kv_cache_dtype])
        return (self.dtype,)


VARIANTS = tuple(
    Variant(dtype, kv_cache_dtype)
    for dtype in layouts.ELEMENT_DTYPES
    for kv_cache_dtype in layouts.KV_CACHE_DTYPES
    if layouts.PLAIN_DTYPES.get(kv_cache_dtype, None) in (None, dtype)
)


@dataclass(frozen=True)
class Row:
    """A tensor argument.

    `dims` names its dimensions; a name with a plus may be larger than the call needs, one with a
    question mark may have any size. Sizes of one name are the same everywhere. A row without `dims`
    is any shape of `count` elements or, with `or_more`, of at least as many.
    """

    name: str
    dims: str
    dtype: Accepted
    gaps: int = 0  # dimensions, from the first on, that may have gaps
    written: bool = False
    or_more: bool = False
    alike: str = ""  # another row whose shape must be this one's
    free: bool = False  # any shape without gaps, in any order of dimensions
    home: str = "call"  # the device: that of the "call", always the "cpu", or "any"

    @property
    def names(self) -> list[str]:
        return [dim.rstrip("+?") for dim in self.dims.split()]


@dataclass(frozen=True)
class Refusal:
    """A change to a good call that makes it a bad one, and the arguments an error may name."""

    label: str
    arguments: tuple[str, ...]
    change: Change
    only_cpu: bool = False  # CUDA cannot tell: it would have to read the tensor


@dataclass(frozen=True)
class Operator:
    """A row for each tensor, how to build a good call, and how to check its result."""

    name: str
    namespace: str
    rows: tuple[Row, ...]
    build: Callable[[Variant, str], Arguments]  # with every dimension of size 2 or more
    call: Callable[..., None]
    check: Callable[[Arguments], object]
    build_empty: Callable[[str], Arguments]  # a good call of no tokens, on a device
    refusals: tuple[Refusal, ...] = ()  # those that do not follow from rows
    memory: Callable[[str], Sequence[torch.Tensor]] = lambda device: ()  # reached by address
    may_share: Set[str] = frozenset()  # two tensors that may be one

    def __str__(self) -> str:
        return self.name

    @property
    def optional(self) -> set[str]:
        """The arguments that may be None."""
        schema = getattr(getattr(torch.ops, self.namespace), self.name).default._schema
        return {a.name for a in schema.arguments if isinstance(a.type, torch.OptionalType)}


def rows_of(operator: Operator, variant: Variant) -> list[Row]:
    """The rows of those tensors that a call has; the rest are optional, and None."""
    arguments = operator.build(variant, "cpu")
    return [row for row in operator.rows if arguments[row.name] is not None]


def refusals(operator: Operator, variant: Variant) -> Iterator[Refusal]:
    """The bad calls that follow from the rows, for one choice of dtypes."""
    for row in rows_of(operator, variant):
        for dtype in _DTYPES:
            if dtype not in variant.accepts(row.dtype):
                label = f"{row.name}-is-{str(dtype).removeprefix('torch.')}"
                yield Refusal(label, (row.name,), _retyped(row.name, dtype))
        yield Refusal(f"{row.name}-on-meta", (row.name,), _moved(row.name, "meta"))
        if row.name not in operator.optional:
            yield Refusal(f"{row.name}-is-none", (row.name,), _changed(row.name, lambda _: None))
        if row.dims:
            yield from _bad_shapes(operator, row)
        elif row.free:
            yield Refusal(f"{row.name}-gap", (row.name,), _gapped(row.name, 0))
        elif row.or_more:
            yield Refusal(f"{row.name}-one-short", (row.name,), _cut(row.name))
            yield Refusal(f"{row.name}-gap", (row.name,), _gapped(row.name, -1))
        else:
            for count in (0, 2):
                yield Refusal(f"{row.name}-of-{count}", (row.name,), _counted(row.name, count))
        if row.written:
            yield Refusal(f"{row.name}-expanded", (row.name,), _expanded(row.name))


def _bad_shapes(operator: Operator, row: Row) -> Iterator[Refusal]:
    yield Refusal(f"{row.name}-rank-more", (row.name,), _changed(row.name, _one_more_dimension))
    yield Refusal(f"{row.name}-rank-less", (row.name,), _changed(row.name, _one_dimension_less))
    for i, dim in enumerate(row.dims.split()):
        name = row.names[i]
        holders = tuple(r.name for r in operator.rows if name in r.names)
        if not dim.endswith("?"):
            yield Refusal(f"{row.name}-{name}-smaller", holders, _resized(row.name, i, -1))
        if not dim.endswith(("+", "?")):
            yield Refusal(f"{row.name}-{name}-larger", holders, _resized(row.name, i, +1))
        if i >= row.gaps:
            yield Refusal(f"{row.name}-{name}-gap", (row.name,), _gapped(row.name, i))


def variations(operator: Operator, variant: Variant) -> Iterator[tuple[str, Change]]:
    """The good calls that follow from the rows, for one choice of dtypes."""
    yield "plain", lambda arguments: None
    for row in rows_of(operator, variant):
        for dtype in variant.accepts(row.dtype)[1:]:
            label = f"{row.name}-is-{str(dtype).removeprefix('torch.')}"
            yield label, _changed(row.name, lambda tensor, dtype=dtype: _seen_as(tensor, dtype))
        for i in range(row.gaps):
            yield f"{row.name}-{row.names[i]}-gap", _gapped(row.name, i)
        for i, dim in enumerate(row.dims.split()):
            if dim.endswith("+"):
                yield f"{row.name}-{row.names[i]}-larger", _resized(row.name, i, +3)
        if row.free:
            yield f"{row.name}-flat", _changed(row.name, torch.flatten)
            yield f"{row.name}-transposed", _changed(row.name, torch.t)
        elif not row.dims and row.or_more:
            yield f"{row.name}-larger", _changed(row.name, lambda t: tensors.longer(t, 0, 3))
            yield f"{row.name}-flat", _changed(row.name, torch.flatten)
        elif not row.dims:
            for shape in ((1,), (1, 1)):
                names = (row.name, row.alike) if row.alike else (row.name,)
                yield f"{row.name}-{len(shape)}d", _reshaped(names, shape)


def _changed(name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def change(arguments: Arguments) -> None:
        arguments[name] = function(arguments[name])

    return change


def _one_more_dimension(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.unsqueeze(0)


def _one_dimension_less(tensor: torch.Tensor) -> torch.Tensor:
    return tensor[0]


def _retyped(name: str, dtype: torch.dtype) -> Change:
    return _changed(
        name, lambda tensor: torch.zeros(tensor.shape, dtype=dtype, device=tensor.device)
    )


def _seen_as(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    same_size = tensor.dtype.itemsize == dtype.itemsize
    return tensor.view(dtype) if same_size else torch.zeros_like(tensor, dtype=dtype)


def _moved(name: str, device: str) -> Change:
    return _changed(name, lambda tensor: tensor.to(device))


def _resized(name: str, dim: int, by: int) -> Change:
    def resize(tensor: torch.Tensor) -> torch.Tensor:
        if by > 0:
            return tensors.longer(tensor, dim, by)
        return tensor.narrow(dim, 0, tensor.shape[dim] + by).contiguous()

    return _changed(name, resize)


def _gapped(name: str, dim: int) -> Change:
    return _changed(name, lambda tensor: tensors.with_gaps(tensor, dim % tensor.dim()))


def _expanded(name: str) -> Change:
    return _changed(name, lambda tensor: tensor[:1].expand(tensor.shape))


def _cut(name: str) -> Change:
    return _changed(name, lambda tensor: tensor.flatten()[:-1])


def _counted(name: str, count: int) -> Change:
    return _changed(
        name,
        lambda tensor: (
            tensor.reshape(1).expand(count).contiguous() if count else tensor.new_empty(0)
        ),
    )


def _reshaped(names: tuple[str, ...], shape: tuple[int, ...]) -> Change:
    def change(arguments: Arguments) -> None:
        for name in names:
            arguments[name] = arguments[name].reshape(shape)

    return change
