"""swap_blocks against the reference, to the last byte of the memory behind both tensors."""

import pytest
import stablekv
import torch

from tests.support import swap, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.swap import SwapCase

_WITH_CUDA = [
    ("cuda", "cuda"),
    ("cpu", "cuda"),
    ("cuda", "cpu"),
    ("pinned", "cuda"),
    ("cuda", "pinned"),
]
each_direction = pytest.mark.parametrize(
    "src, dst", [("cpu", "cpu"), *(pytest.param(*pair, marks=on_cuda) for pair in _WITH_CUDA)]
)


def _shuffled(count, src_blocks, dst_blocks, seed=0):
    """`count` pairs of blocks, no block twice on its side."""
    random = torch.Generator().manual_seed(seed)
    sides = [torch.randperm(n, generator=random)[:count] for n in (src_blocks, dst_blocks)]
    return tuple(map(tuple, torch.stack(sides, 1).tolist()))


@each_direction
@pytest.mark.parametrize("block_bytes", [1, 3, 12, 16, 640, 4100, 16384, 65552])
def test_blocks_of_any_size(block_bytes, src, dst):
    swap.check(swap.arguments_of(SwapCase(block_bytes=block_bytes), src, dst))


@each_direction
@pytest.mark.parametrize("count", [1, 250, 251, 2000, 2001, 4001])
def test_any_number_of_blocks(count, src, dst):
    """A launch takes 250, or 2000 where there are more."""
    case = SwapCase(_shuffled(count, 5000, 4500), 5000, 4500, 48)
    swap.check(swap.arguments_of(case, src, dst))


@each_direction
def test_neighbours_are_copied_like_any_others(src, dst):
    case = SwapCase(tuple((i, i + 3) for i in range(20)), 20, 23)
    swap.check(swap.arguments_of(case, src, dst))


@each_direction
@pytest.mark.parametrize("mapping", [(), ((2, 5),), ((0, 1), (1, 1), (2, 1)), ((1, 0), (1, 4))])
def test_few_blocks_and_blocks_used_twice(mapping, src, dst):
    swap.check(swap.arguments_of(SwapCase(mapping), src, dst))


@each_device
@pytest.mark.parametrize(
    "mapping",
    [
        ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)),  # one block goes everywhere
        ((4, 5), (3, 4), (2, 3), (1, 2), (0, 1)),  # a shift
        ((0, 5), (1, 0), (5, 1)),  # two blocks change places by way of a third
        ((2, 2), (0, 2), (2, 2), (2, 4)),
        ((0, 4), (1, 5)),
    ],
)
@pytest.mark.parametrize("block_bytes", [64, 5000])
def test_rows_see_what_earlier_rows_wrote(mapping, block_bytes, device):
    arguments = swap.arguments_of(SwapCase(mapping, block_bytes=block_bytes), device, device)
    arguments["dst"] = arguments["src"]
    swap.check(arguments)


@each_device
def test_a_lazy_clone_is_copied_within_like_any_tensor(device):
    """Rows see what earlier rows wrote, and the tensor that shares the memory does not change."""
    arguments = swap.arguments_of(SwapCase(((0, 1), (1, 2), (2, 3))), device, device)
    original = arguments["src"]
    want, before = original.clone(), original.clone()
    stablekv.swap_blocks(**{**arguments, "src": want, "dst": want})
    lazy = torch._lazy_clone(original)
    stablekv.swap_blocks(**{**arguments, "src": lazy, "dst": lazy})
    assert torch.equal(lazy, want)
    assert torch.equal(original, before)


@each_device
@pytest.mark.parametrize("offset", [1, 16, 32, 64, 128])
def test_two_views_of_one_memory(offset, device):
    """Blocks of the two lie across each other: a row reads parts of two others' destinations."""
    memory = swap.arguments_of(SwapCase(), device, device)["dst"].flatten()
    arguments = {
        "src": memory[: 5 * 64],
        "dst": memory[offset : offset + 5 * 64],
        "block_size_in_bytes": 64,
        "block_mapping": torch.tensor([[0, 2], [4, 1], [1, 3], [2, 4]]),
    }
    swap.check(arguments)


@each_direction
@pytest.mark.parametrize("src_offset, dst_offset", [(0, 1), (1, 0), (4, 8), (16, 2), (16, 32)])
def test_tensors_that_begin_anywhere(src_offset, dst_offset, src, dst):
    arguments = swap.arguments_of(SwapCase(block_bytes=4096), src, dst)
    for name, offset in (("src", src_offset), ("dst", dst_offset)):
        flat = arguments[name].flatten()
        memory = tensors.poisoned((len(flat) + 64,), torch.uint8, flat.device.type)
        memory[offset : offset + len(flat)] = flat
        arguments[name] = memory[offset : offset + len(flat)]
    swap.check(arguments)


@each_direction
def test_caches_of_any_dtype_and_order_of_dimensions(src, dst):
    """The bytes are those of memory, not those of the shape."""
    arguments = swap.arguments_of(SwapCase(block_bytes=3 * 8 * 16), src, dst)
    arguments["src"] = arguments["src"].view(torch.bfloat16).view(-1, 3, 8, 8).transpose(1, 2)
    arguments["dst"] = arguments["dst"].view(torch.float32).view(-1, 8, 3, 4).permute(2, 0, 3, 1)
    assert not arguments["src"].is_contiguous()
    swap.check(arguments)


@each_direction
def test_mappings_of_any_strides(src, dst):
    dense = swap.arguments_of(SwapCase(), src, dst)["block_mapping"]
    wide = torch.full((8, 5), -1)
    wide[::2, 1:5:3] = dense
    for mapping in (wide[::2, 1:5:3], dense.t().contiguous().t(), dense[1:2].expand(3, 2)):
        assert not mapping.is_contiguous()
        swap.check({**swap.arguments_of(SwapCase(), src, dst), "block_mapping": mapping})
    swap.check({**swap.arguments_of(SwapCase(), src, dst), "block_mapping": dense[2:]})


@each_direction
def test_a_block_that_a_tensor_ends_in_does_not_count(src, dst):
    arguments = swap.arguments_of(SwapCase(), src, dst)
    swap.check(arguments)
    arguments["src"] = arguments["src"].flatten()[:-1]
    with pytest.raises(RuntimeError, match=r"of which there are 5 of 64 bytes, got 5 at \[1, 0\]"):
        stablekv.swap_blocks(**arguments)


@each_device
def test_blocks_past_two_to_the_31_bytes(device):
    block_bytes = 2**20
    memory = torch.empty(2**31 + 2 * block_bytes, dtype=torch.uint8, device=device)
    src = torch.randint(0, 256, (2 * block_bytes,), dtype=torch.uint8).to(device)
    stablekv.swap_blocks(src, memory, block_bytes, torch.tensor([[0, 2049], [1, 2048]]))
    assert torch.equal(memory[-block_bytes:], src[:block_bytes])
    assert torch.equal(memory[-2 * block_bytes : -block_bytes], src[block_bytes:])


@each_direction
def test_empty_tensors(src, dst):
    arguments = swap.arguments_of(SwapCase((), 0, 0), src, dst)
    swap.check(arguments)
    arguments["block_mapping"] = torch.zeros(1, 2, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="of which there are 0 of 64 bytes"):
        stablekv.swap_blocks(**arguments)


@each_direction
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiles(backend, src, dst):
    torch._dynamo.reset()

    @torch.compile(fullgraph=True, dynamic=True, backend=backend)
    def step(src, dst, mapping):
        stablekv.swap_blocks(src, dst, 64, mapping)
        return dst + 1

    for mapping in (((0, 6), (5, 0)), ((3, 1), (2, 2), (1, 3))):
        arguments = swap.arguments_of(SwapCase(mapping), src, dst)
        got, want = arguments["dst"].clone(), arguments["dst"].clone()
        out = step(arguments["src"], got, arguments["block_mapping"])
        stablekv.swap_blocks(arguments["src"], want, 64, arguments["block_mapping"])
        assert torch.equal(got, want)
        assert torch.equal(out, want + 1)


@on_cuda
@pytest.mark.parametrize("src, dst", [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_runs_on_the_current_stream(src, dst):
    arguments = swap.arguments_of(SwapCase(), src, dst)
    late = {n: v.pin_memory() if v.device.type == "cpu" else v for n, v in arguments.items()
            if n in ("src", "dst")}  # fmt: skip
    arguments.update(late)
    blocks, stream = arguments["src"].clone(), torch.cuda.Stream()
    want = arguments["dst"].cpu().clone()
    mapping = arguments["block_mapping"]
    stablekv.swap_blocks(blocks.cpu(), want, 64, mapping)
    if src == "cuda":
        arguments["src"].fill_(0)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        if src == "cuda":
            arguments["src"].copy_(blocks)
        stablekv.swap_blocks(**arguments)
    stream.synchronize()
    assert torch.equal(arguments["dst"].cpu(), want)


@on_cuda
@pytest.mark.parametrize("mapping", [_shuffled(2500, 2600, 2700), ((0, 1), (1, 2))])
def test_a_graph_keeps_the_mapping(mapping):
    """Replayed with other blocks, after the mapping is gone; a chain too."""
    arguments = swap.arguments_of(SwapCase(mapping, 2600, 2700), "cuda", "cuda")
    if len(mapping) == 2:
        arguments["dst"] = arguments["src"]
    want = {n: arguments[n].cpu().clone() for n in ("src", "dst")}
    if len(mapping) == 2:
        want["dst"] = want["src"]
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        stablekv.swap_blocks(**arguments)
    stablekv.swap_blocks(want["src"], want["dst"], 64, arguments.pop("block_mapping"))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(arguments["dst"].cpu(), want["dst"])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device, or none")
def test_devices_that_are_not_current():
    swap.check(swap.arguments_of(SwapCase(), "cuda:1", "cuda:1"))
    swap.check(swap.arguments_of(SwapCase(), "cpu", "cuda:1"))
    swap.check(swap.arguments_of(SwapCase(), "cuda:1", "cpu"))
    assert torch.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="dst must be on the CPU or on cuda:0"):
        stablekv.swap_blocks(**swap.arguments_of(SwapCase(), "cuda:0", "cuda:1"))
