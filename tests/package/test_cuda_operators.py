"""Every operator of the table on streams, in graphs and on devices that are not the current one."""

import pytest
import torch

from tests.support import contract, tensors
from tests.support.contract import Variant
from tests.support.devices import on_cuda
from tests.support.operators import OPERATORS
from tests.support.swap_batch_operators import SWAP_BLOCKS_BATCH

pytestmark = on_cuda

each_call = pytest.mark.parametrize(
    "operator, variant",
    [
        pytest.param(operator, variant, id=f"{operator}-{variant}")
        for operator in OPERATORS
        if operator is not SWAP_BLOCKS_BATCH  # writes by address, and has tests of its own for this
        for variant in (Variant(torch.float32, "auto"), Variant(torch.float16, "fp8"))
    ],
)


def _input_of(operator, variant, arguments):
    """The first tensor that is read, and not for places to read from."""
    integers = (torch.int32, torch.int64)
    for row in contract.rows_of(operator, variant):
        tensor = arguments[row.name]
        if not row.written and tensor.dim() > 0 and tensor.dtype not in integers:
            return tensors.bytes_of(tensor)
    raise AssertionError(f"{operator} reads nothing")


def _outputs_of(operator, variant, arguments):
    rows = [row for row in contract.rows_of(operator, variant) if row.written]
    return {row.name: tensors.bytes_of(arguments[row.name]) for row in rows if not row.or_more}


def _after_a_plain_call(operator, variant, change):
    arguments = operator.build(variant, "cuda")
    change(_input_of(operator, variant, arguments))
    operator.call(**arguments)
    torch.cuda.synchronize()
    return _outputs_of(operator, variant, arguments)


def _check_equal(got, want):
    assert want
    for name, tensor in want.items():
        assert torch.equal(got[name], tensor), name


@each_call
def test_runs_on_the_current_stream(operator, variant):
    """Its input arrives late on that stream; on another one it would find zeros there."""
    want = _after_a_plain_call(operator, variant, lambda tensor: None)
    arguments, stream = operator.build(variant, "cuda"), torch.cuda.Stream()
    late = _input_of(operator, variant, arguments)
    right = late.clone()
    late.zero_()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # cycles: some 25 ms
        late.copy_(right)
        operator.call(**arguments)
    stream.synchronize()
    _check_equal(_outputs_of(operator, variant, arguments), want)


@each_call
def test_a_graph_replays_with_other_input(operator, variant):
    want = _after_a_plain_call(operator, variant, lambda tensor: tensor.copy_(tensor.roll(1, 0)))
    arguments = operator.build(variant, "cuda")
    outputs = _outputs_of(operator, variant, arguments)
    untouched = {name: tensor.clone() for name, tensor in outputs.items()}
    operator.call(**arguments)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        operator.call(**arguments)
    for name, tensor in untouched.items():
        outputs[name].copy_(tensor)
    source = _input_of(operator, variant, arguments)
    source.copy_(source.roll(1, 0))
    graph.replay()
    torch.cuda.synchronize()
    _check_equal(outputs, want)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device, or none")
@each_call
def test_tensors_on_a_device_that_is_not_current(operator, variant):
    arguments = operator.build(variant, "cuda")
    operator.check(
        {
            n: v.to("cuda:1") if isinstance(v, torch.Tensor) and v.is_cuda else v
            for n, v in arguments.items()
        }
    )
    assert torch.cuda.current_device() == 0


@each_call
def test_nothing_is_left_of_an_empty_call(operator, variant):
    """A launch of no threads would leave its error for the next call to find."""
    operator.call(**operator.build_empty("cuda"))
    torch.cuda.synchronize()
    operator.check(operator.build(variant, "cuda"))
