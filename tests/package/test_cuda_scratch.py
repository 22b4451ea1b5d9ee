"""The scratch that paged_attention_v1 takes from torch on CUDA: when, for how long, and without."""

import pytest
import torch

from tests.support import attention
from tests.support.attention import AttentionCase
from tests.support.devices import on_cuda

pytestmark = on_cuda

# Of 16-bit queries the kernel on tensor cores, of float32 the general one.
each_kernel = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])


def _long(dtype):
    return AttentionCase(seq_lens=(16384,), num_heads=8, num_kv_heads=1, head_size=128, dtype=dtype)


def _bytes_at_most(arguments):
    """What torch had handed out at most during a call, beyond what it had before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    attention.run("v1", arguments)
    assert torch.cuda.memory_allocated() == before
    return torch.cuda.max_memory_allocated() - before


def _captured(version, arguments):
    """A graph of the call, which ran once before."""
    attention.run(version, arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        attention.run(version, arguments)
    return graph


@each_kernel
def test_few_long_sequences_take_scratch_for_the_call(dtype):
    assert _bytes_at_most(attention.arguments_of(_long(dtype), "cuda")) > 0


@each_kernel
def test_short_sequences_take_none(dtype):
    case = AttentionCase(seq_lens=(500, 3), dtype=dtype)
    assert _bytes_at_most(attention.arguments_of(case, "cuda")) == 0


@each_kernel
def test_scratch_is_part_of_a_graph(dtype):
    arguments = attention.arguments_of(_long(dtype), "cuda")
    graph = _captured("v1", arguments)
    arguments["query"].copy_(arguments["query"].roll(1, 1))
    others = torch.full((1 << 20,), float("nan"), device="cuda")  # wherever the capture left room
    arguments["out"].fill_(float("nan"))
    graph.replay()
    out = arguments["out"].clone()
    assert others.isnan().all()
    assert torch.equal(attention.check("v1", arguments), out)


# Many sequences are shared out together, few are split one by one.
each_kind_of_batch = pytest.mark.parametrize(
    "batch",
    [
        ((9000, 300, 17, 1, 2500, 4096), (1, 300, 16, 0, 2177, 4095), (256, 256, 0, 1, 256, 512)),
        ((9000,), (1,), (256,), (257,), (4097,)),
        ((4100, 2049), (0, 2048), (40000, 1)),
    ],
    ids=lambda batch: f"{len(batch[0])}-sequences",
)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8"])
@each_kind_of_batch
def test_one_graph_for_all_lengths(version, kv_cache_dtype, batch):
    """Captured for sequences as long as they may become: the device learns how long they are."""
    built = tuple(max(lengths) for lengths in zip(*batch, strict=True))
    case = AttentionCase(
        seq_lens=built,
        max_seq_len=40000,
        num_heads=8,
        num_kv_heads=2,
        head_size=128,
        dtype=torch.bfloat16,
        kv_cache_dtype=kv_cache_dtype,
    )
    arguments = attention.arguments_of(case, "cuda")
    if version == "v2":
        arguments = attention.with_scratch(arguments)
    graph = _captured(version, arguments)
    for lengths in (*batch, (0,) * len(built)):
        arguments["seq_lens"].copy_(torch.tensor(lengths))
        arguments["out"].fill_(float("nan"))
        graph.replay()
        out = arguments["out"].clone()
        assert torch.equal(attention.check(version, arguments), out)


@each_kernel
def test_without_memory_for_scratch(dtype):
    """The device is full to the last byte that torch may have."""
    arguments = attention.arguments_of(_long(dtype), "cuda")
    want = attention.check("v1", arguments).clone()
    arguments["out"].fill_(float("nan"))
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    filling = []
    torch.cuda.set_per_process_memory_fraction(1e-9)
    try:
        for size in (1 << 20, 1 << 16, 1 << 12, 512):
            with pytest.raises(torch.OutOfMemoryError):
                while True:
                    filling.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        assert _bytes_at_most(arguments) == 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        filling.clear()
    torch.testing.assert_close(arguments["out"], want)
