"""The table of support/operators.py: what is in it works, and the rest is refused."""

import contextlib
import functools
import re

import pytest
import torch
from stablekv import _operators

from tests.support import contract, tensors
from tests.support.contract import VARIANTS, Variant
from tests.support.devices import each_device, on_cuda
from tests.support.operators import OPERATORS

# Refusals do not hang on the dtypes of a call, but for those of the dtypes.
_PLAIN = Variant(torch.float32, "auto")
_FP8 = Variant(torch.float16, "fp8_e5m2")

_REFUSED = [
    pytest.param(operator, variant, refusal, id=f"{operator}-{variant}-{refusal.label}")
    for operator in OPERATORS
    for variant in (_PLAIN, _FP8)
    for refusal in contract.refusals(operator, variant)
] + [
    pytest.param(operator, _PLAIN, refusal, id=f"{operator}-{refusal.label}")
    for operator in OPERATORS
    for refusal in operator.refusals
]

_ACCEPTED = [
    pytest.param(operator, variant, change, id=f"{operator}-{variant}-{label}")
    for operator in OPERATORS
    for variant in VARIANTS
    for label, change in contract.variations(operator, variant)
    # Gaps and sizes on two variants, dtypes on all.
    if variant in (_PLAIN, _FP8) or label == "plain" or "-is-" in label
]


_build = functools.cache(lambda operator, *how: operator.build(*how))


def _arguments(*how):
    return {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in _build(*how).items()}


@each_device
@pytest.mark.parametrize("operator, variant, change", _ACCEPTED)
def test_what_the_table_allows_works(operator, variant, change, device):
    arguments = _arguments(operator, variant, device)
    change(arguments)
    operator.check(arguments)


@each_device
@pytest.mark.parametrize("operator, variant, refusal", _REFUSED)
def test_the_rest_is_refused_and_nothing_written(operator, variant, refusal, device):
    if refusal.only_cpu and device != "cpu":
        pytest.skip("a value inside a CUDA tensor: see test_cuda.py for what happens there")
    arguments = _arguments(operator, variant, device)
    refusal.change(arguments)
    _check_refused(operator, arguments, refusal.arguments)


@each_device
@pytest.mark.parametrize(
    "operator, variant, written, other",
    [
        pytest.param(
            operator,
            variant,
            row.name,
            other.name,
            id=f"{operator}-{variant}-{row.name}-{other.name}",
        )
        for operator in OPERATORS
        for variant in (_PLAIN, _FP8)
        for row in contract.rows_of(operator, variant)
        for other in contract.rows_of(operator, variant)
        if row.written and other is not row and {row.name, other.name} != operator.may_share
    ],
)
def test_what_is_written_shares_no_memory(operator, variant, written, other, device):
    arguments = _arguments(operator, variant, device)
    if len({arguments[name].device for name in (written, other)}) == 2:
        pytest.skip("two devices share no memory")
    tensors.share_memory(arguments, written, other)
    _check_refused(operator, arguments, (written, other))


@on_cuda
@pytest.mark.parametrize(
    "operator, row, home, away",
    [
        pytest.param(operator, row.name, home, away, id=f"{operator}-{row.name}-{home}-{away}")
        for operator in OPERATORS
        for row in contract.rows_of(operator, _FP8)
        for home, away in (("cpu", "cuda"), ("cuda", "cpu"))
        if row.home == "call" or (row.home, away) == ("cpu", "cuda")
    ],
)
def test_a_tensor_on_the_other_device_is_refused(operator, row, home, away):
    arguments = _arguments(operator, _FP8, home)
    arguments[row] = arguments[row].to(away)
    _check_refused(operator, arguments, (row,))


@each_device
@pytest.mark.parametrize(
    "operator, variant, row",
    [
        pytest.param(operator, variant, row.name, id=f"{operator}-{variant}-{row.name}")
        for operator in OPERATORS
        for variant in (_PLAIN, _FP8)
        for row in contract.rows_of(operator, variant)
        if row.gaps
    ],
)
def test_offsets_past_32_bits(operator, variant, row, device):
    """The same bytes, whatever lies between the rows, pages or tokens of one tensor."""
    want = _arguments(operator, variant, device)
    got = _arguments(operator, variant, device)
    operator.call(**want)
    with tensors.far_apart(got[row]) as got[row]:
        operator.call(**got)
        for written in contract.rows_of(operator, variant):
            if written.written and not written.or_more:  # scratch is nobody's business
                bytes_of = [tensors.bytes_of(call[written.name]) for call in (got, want)]
                assert torch.equal(*bytes_of), written.name


@each_device
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_an_empty_call_writes_nothing(operator, device):
    arguments = operator.build_empty(device)
    memory = {str(i): tensor for i, tensor in enumerate(operator.memory(device))}
    before = tensors.snapshot({**arguments, **memory})
    operator.call(**arguments)
    assert not tensors.changed(before, {**arguments, **memory})


@each_device
@pytest.mark.parametrize(
    "operator, variant, dim",
    [
        pytest.param(operator, variant, dim, id=f"{operator}-{variant}-{dim}")
        for operator in OPERATORS
        for variant in (_PLAIN, _FP8)
        for dim in sorted({n for row in contract.rows_of(operator, variant) for n in row.names})
    ],
)
def test_a_dimension_of_no_size(operator, variant, dim, device):
    """Works as the reference has it or is refused in words, whichever dimension it is."""

    def emptied(on):
        arguments = _arguments(operator, variant, on)
        for row in contract.rows_of(operator, variant):
            if dim in row.names:
                place = row.names.index(dim)
                arguments[row.name] = arguments[row.name].narrow(place, 0, 0).contiguous()
        return arguments

    try:
        operator.call(**emptied("cpu"))
    except RuntimeError:
        arguments = emptied(device)
        if device == "cpu":
            _check_refused(operator, arguments, arguments)
        else:
            _check_refused_or_passed_over(operator, variant, arguments)
    else:
        operator.check(emptied(device))


def _check_refused_or_passed_over(operator, variant, arguments):
    """Nothing is written on CUDA either where values in a tensor are what the CPU refuses."""
    before = tensors.snapshot(arguments)
    attention = False
    with contextlib.suppress(RuntimeError):
        operator.call(**arguments)
        attention = operator.name.startswith("paged_attention")
    torch.cuda.synchronize()
    if attention:  # to no block
        assert not arguments["out"].any()
    rows = contract.rows_of(operator, variant)
    written = [row.name for row in rows if row.written and attention]  # scratch too
    assert not tensors.changed(before, arguments, but=written)


def _check_refused(operator, arguments, blamed):
    before = tensors.snapshot(arguments)
    with pytest.raises(RuntimeError) as error:
        operator.call(**arguments)
    message = str(error.value).splitlines()[0]
    # Of an argument, or of a value in it.
    wanted_and_got = r"(\w+ must .+, got .+|\w+\[.+\] is .+, (want|but) .+)"
    assert re.fullmatch(f"{operator}: {wanted_and_got}", message), message
    assert any(re.search(rf"\b{name}\b", message) for name in blamed), message
    assert not tensors.changed(before, arguments)


def test_every_operator_of_the_library_is_in_the_table():
    spaces = tuple(f"{space}::" for space in _operators.OPERATORS)
    registered = torch._C._dispatch_get_all_op_names()
    names = {name.split(".")[0] for name in registered if name.startswith(spaces)}
    assert names == {f"{o.namespace}::{o.name}" for o in OPERATORS}


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_every_tensor_of_a_schema_has_its_row(operator):
    schema = getattr(getattr(torch.ops, operator.namespace), operator.name).default._schema
    tensor_arguments = {
        argument.name: argument.alias_info is not None and argument.alias_info.is_write
        for argument in schema.arguments
        if "Tensor" in str(argument.type)
    }
    assert tensor_arguments == {row.name: row.written for row in operator.rows}


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_a_good_call_has_no_dimension_that_hides_a_mistake(operator):
    for variant in (_PLAIN, _FP8):
        arguments = operator.build(variant, "cpu")
        for row in contract.rows_of(operator, variant):
            shape = arguments[row.name].shape
            if row.dims:
                assert len(shape) == len(row.names)
            assert all(size >= 2 for size in shape), (row.name, shape)
