"""swap_blocks_batch against the reference, to the last byte of both memories."""

import pytest
import stablekv
import torch

from tests.support import swap_batch
from tests.support.devices import on_cuda
from tests.support.swap_batch import BYTES, COPIES

_PAIRS = [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")]
each_direction = pytest.mark.parametrize(
    "src, dst", [("cpu", "cpu"), *(pytest.param(*pair, marks=on_cuda) for pair in _PAIRS)]
)


def _check(copies, src, dst, **changes):
    swap_batch.check({**swap_batch.arguments_of(copies, src, dst), **changes}, src, dst)


@each_direction
@pytest.mark.parametrize("any_order", [False, True])
@pytest.mark.parametrize(
    "copies",
    [
        COPIES,
        ((0, 0, BYTES),),
        ((0, 3, 8), (100, 200, 4096), (5000, 9000, 8192)),
        ((5, 9, 0), (6, 10, 0)),
        ((1, 0, 1),),
    ],
)
def test_copies(copies, any_order, src, dst):
    _check(copies, src, dst, is_src_access_order_any=any_order)


@each_direction
@pytest.mark.parametrize("count", [0, 8191, 8192, 8193, 100_000])
def test_any_number_of_copies(count, src, dst):
    """A call of the driver takes 8192. Sizes are from 0 to 9 bytes."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    places = torch.arange(count) * 10
    table = torch.stack([order * 10, places, places // 10 % 10], 1)
    _check(table.tolist(), src, dst)


@each_direction
def test_copies_of_very_different_sizes(src, dst):
    """Threads share out the bytes, not the copies."""
    _check(((0, 1, 600_001), (700_000, 600_002, 3), (800_000, 700_001, 200_000)), src, dst)


@each_direction
def test_lists_of_any_stride(src, dst):
    arguments = swap_batch.arguments_of(COPIES, src, dst)
    table = torch.full((len(COPIES), 5), -1)
    for column, name in ((0, "src_ptrs"), (2, "dst_ptrs"), (4, "sizes")):
        table[:, column] = arguments[name]
        arguments[name] = table[:, column]
    swap_batch.check(arguments, src, dst)
    arguments = swap_batch.arguments_of(((0, 16, 16), (40, 80, 16)), src, dst)
    arguments["sizes"] = arguments["sizes"][:1].expand(2)
    swap_batch.check(arguments, src, dst)


@each_direction
def test_a_copy_of_no_bytes_needs_no_addresses(src, dst):
    arguments = swap_batch.arguments_of(COPIES, src, dst)
    stablekv.swap_blocks_batch(
        torch.zeros(2).long(), torch.tensor([-1, 2**62]), torch.zeros(2).long()
    )
    arguments["sizes"][:] = 0
    swap_batch.check(arguments, src, dst)


@each_direction
def test_memory_is_copied_to_itself(src, dst):
    arguments = swap_batch.arguments_of(COPIES, src, dst)
    arguments["dst_ptrs"] = arguments["src_ptrs"]
    before = [memory.cpu().clone() for memory in swap_batch.memories(src, dst)]
    stablekv.swap_blocks_batch(**arguments)
    for memory, want in zip(swap_batch.memories(src, dst), before, strict=True):
        assert torch.equal(memory.cpu(), want)


def test_the_last_argument_has_a_default():
    operator = torch.ops._C_cache_ops.swap_blocks_batch.default
    assert str(operator._schema) == (
        "_C_cache_ops::swap_blocks_batch(Tensor src_ptrs, Tensor dst_ptrs, Tensor sizes, "
        "bool is_src_access_order_any=False) -> ()"
    )
    arguments = swap_batch.arguments_of(COPIES, "cpu", "cpu")
    del arguments["is_src_access_order_any"]
    swap_batch.check(arguments, "cpu", "cpu")


@each_direction
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_code_keeps_the_call(backend, src, dst):
    """Nothing in the schema says that it does anything."""
    torch._dynamo.reset()

    @torch.compile(fullgraph=True, dynamic=True, backend=backend)
    def step(src_ptrs, dst_ptrs, sizes):
        stablekv.swap_blocks_batch(src_ptrs, dst_ptrs, sizes)
        return sizes + 1

    for copies in (COPIES, COPIES[:3]):
        memory = swap_batch.memories(src, dst)[1]
        memory.zero_()
        arguments = swap_batch.arguments_of(copies, src, dst)
        del arguments["is_src_access_order_any"]
        assert torch.equal(step(**arguments), arguments["sizes"] + 1)
        if "cuda" in (src, dst):
            torch.cuda.synchronize()  # reading pinned memory waits for nothing
        got = memory.cpu().clone()
        memory.zero_()
        swap_batch.check(arguments, src, dst)
        assert memory.any()
        assert torch.equal(got, memory.cpu())


@on_cuda
@pytest.mark.parametrize("src, dst", _PAIRS)
def test_on_a_stream_of_its_own(src, dst):
    """The default stream takes copies one by one, this one takes batches; sources arrive late."""
    with torch.cuda.stream(torch.cuda.Stream()):
        _check(COPIES, src, dst)
        _check(tuple((i * 50, i * 50 + 1, 49) for i in range(20_000)), src, dst)
        source, destination = swap_batch.memories(src, dst)
        if src == "cuda":
            late = source.clone()
            source.zero_()
            torch.cuda._sleep(100_000_000)
            source.copy_(late)
            stablekv.swap_blocks_batch(**swap_batch.arguments_of(((0, 0, BYTES),), src, dst))
            torch.cuda.synchronize()
            assert torch.equal(destination.cpu(), late.cpu())


@on_cuda
@pytest.mark.parametrize("src, dst", _PAIRS)
def test_memory_that_is_not_pinned(src, dst):
    tensors = [torch.randint(0, 256, (70_000,), dtype=torch.uint8).to(d) for d in (src, dst)]
    lists = [torch.tensor([t.data_ptr(), t.data_ptr() + 40_000]) for t in tensors]
    for stream in (torch.cuda.default_stream(), torch.cuda.Stream()):
        tensors[1].zero_()
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            stablekv.swap_blocks_batch(*lists, torch.tensor([40_000, 30_000]))
            torch.cuda.synchronize()
        assert torch.equal(*(t.cpu() for t in tensors))


@on_cuda
def test_a_graph_keeps_the_copies():
    source, destination = swap_batch.memories("cuda", "cuda")
    arguments = swap_batch.arguments_of(COPIES, "cuda", "cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        stablekv.swap_blocks_batch(**arguments)
    swap_batch.check(arguments, "cuda", "cuda")
    want = destination.clone()
    for src_offset, dst_offset, size in COPIES:
        assert torch.equal(
            source[src_offset : src_offset + size], want[dst_offset : dst_offset + size]
        )
        destination[dst_offset : dst_offset + size] = 0
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(destination, want)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device, or none")
@pytest.mark.parametrize("current", [0, 1])
@pytest.mark.parametrize("src, dst", [("cuda:1", "cuda:1"), ("cpu", "cuda:1"), ("cuda:1", "cpu")])
def test_memory_of_a_device_whichever_is_current(src, dst, current):
    """On the current stream of the current device, wherever the memory is."""
    source, destination = (memory.clone() for memory in swap_batch.memories(src, dst))
    if dst == "cpu":
        destination = destination.pin_memory()
    torch.cuda.synchronize(1)
    with torch.cuda.device(current), torch.cuda.stream(torch.cuda.Stream()):
        addresses = [torch.tensor([memory.data_ptr()]) for memory in (source, destination)]
        stablekv.swap_blocks_batch(*addresses, torch.tensor([BYTES]))
        assert torch.cuda.current_device() == current
        torch.cuda.current_stream().synchronize()
    assert torch.equal(source.cpu(), destination.cpu())
