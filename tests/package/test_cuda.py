"""What only CUDA has: streams, graphs, several devices, and values that nobody can look at."""

import pytest
import stablekv
import torch

from tests.support import attention, cache
from tests.support.attention import AttentionCase
from tests.support.cache import CacheCase
from tests.support.devices import on_cuda

pytestmark = on_cuda

each_version = pytest.mark.parametrize("version", ["v1", "v2"])


def _pause():
    torch.cuda._sleep(100_000_000)  # cycles: some 50 ms


@each_version
def test_attention_runs_on_the_current_stream(version):
    """Its query arrives late on that stream; on another one it would find the poison there."""
    arguments = attention.arguments_of(AttentionCase(seq_lens=(700, 30)), "cuda")
    query, stream = arguments["query"].clone(), torch.cuda.Stream()
    arguments["query"].fill_(float("nan"))
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        _pause()
        arguments["query"].copy_(query)
        attention.run(version, arguments)
    stream.synchronize()
    out = arguments["out"].clone()
    assert torch.equal(attention.check(version, arguments), out)


def test_reshape_and_cache_runs_on_the_current_stream():
    arguments = cache.arguments_of(CacheCase(), "cuda")
    slots, stream = arguments["slot_mapping"].clone(), torch.cuda.Stream()
    want = {name: arguments[name].clone() for name in ("key_cache", "value_cache")}
    stablekv.reshape_and_cache(**{**arguments, **want})
    arguments["slot_mapping"].fill_(-1)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        _pause()
        arguments["slot_mapping"].copy_(slots)
        stablekv.reshape_and_cache(**arguments)
    stream.synchronize()
    for name, tensor in want.items():
        assert torch.equal(arguments[name].view(torch.int32), tensor.view(torch.int32))


@each_version
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_a_graph_replays_with_other_input(kind, version):
    """A decode step is captured once; lengths, tables, slots and tensors then change in place."""
    case = AttentionCase(
        seq_lens=(600, 40, 0), dtype=torch.float16, kv_cache_dtype=kind, max_seq_len=700
    )
    arguments = attention.arguments_of(case, "cuda")
    if version == "v2":
        arguments = attention.with_scratch(arguments)
    new = torch.randn(2, 3, 2, 64, device="cuda", dtype=torch.float16)
    slots = torch.full((3,), -1, device="cuda")

    def step():
        stablekv.reshape_and_cache(
            new[0],
            new[1],
            arguments["key_cache"],
            arguments["value_cache"],
            slots,
            kind,
            arguments["k_scale"],
            arguments["v_scale"],
        )
        attention.run(version, arguments)

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    other = AttentionCase(**{**case.__dict__, "seq_lens": (3, 480, 128)})
    assert sum(-(-n // 16) for n in other.seq_lens) <= sum(-(-n // 16) for n in case.seq_lens)
    fresh = attention.arguments_of(other, "cuda", seed=1)
    for name in ("query", "seq_lens"):
        arguments[name].copy_(fresh[name])
    tables = arguments["block_tables"]
    tables.copy_(fresh["block_tables"])
    for name in ("key_cache", "value_cache"):
        size = len(fresh[name])
        arguments[name][:size].copy_(fresh[name])
    last = torch.tensor(other.seq_lens, device="cuda") - 1
    blocks = tables.gather(1, (last // 16)[:, None])[:, 0].long()
    slots.copy_(blocks * 16 + last % 16)
    new.copy_(torch.randn_like(new))
    arguments["out"].fill_(float("nan"))
    graph.replay()
    torch.cuda.synchronize()
    replayed = arguments["out"].clone()
    key = arguments["key_cache"][blocks, :, :, last % 16].flatten(2)
    if kind == "auto":
        assert torch.equal(key, new[0])
    assert torch.equal(attention.check(version, arguments), replayed)


@each_version
def test_lengths_are_clamped_to_max_seq_len(version):
    arguments = attention.arguments_of(AttentionCase(seq_lens=(48, 48, 5)), "cuda")
    arguments["seq_lens"].copy_(torch.tensor([2**31 - 1, 49, -7]))
    got = attention.run(version, arguments).clone()
    arguments["seq_lens"].copy_(torch.tensor([48, 48, 0]))
    assert torch.equal(attention.check(version, arguments), got)


@each_version
@pytest.mark.parametrize("wrong", [-1, 10**6, 2**31 - 1, -(2**31)])
def test_blocks_outside_the_cache_are_not_attended_to(version, wrong):
    arguments = attention.arguments_of(AttentionCase(seq_lens=(600, 64)), "cuda")
    without = {
        name: v.clone() if isinstance(v, torch.Tensor) else v for name, v in arguments.items()
    }
    # The same sequences without their second block: without ALiBi the order does not matter.
    without["block_tables"][:, 1:-1] = arguments["block_tables"][:, 2:]
    without["seq_lens"] -= 16
    want = attention.check(version, without)
    arguments["block_tables"][:, 1] = wrong
    got = attention.run(version, arguments)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    arguments["block_tables"].fill_(wrong)
    assert not attention.run(version, arguments).any()


@pytest.mark.parametrize("wrong", [64, 65, 2**40, 2**63 - 1])
def test_slots_past_the_cache_are_skipped(wrong):
    case = CacheCase(slots=(5, 16, 0, 47, 31))
    arguments = cache.arguments_of(case, "cuda")
    want = cache.arguments_of(CacheCase(slots=(5, 16, -1, 47, 31)), "cuda")
    cache.check(want)
    arguments["slot_mapping"][2] = wrong
    stablekv.reshape_and_cache(**arguments)
    for name in ("key_cache", "value_cache"):
        assert torch.equal(arguments[name].view(torch.int32), want[name].view(torch.int32))


@each_version
def test_a_sequence_longer_than_shared_memory_holds(version):
    """100,000 float32 logits are 400 KB."""
    case = AttentionCase(
        seq_lens=(100_000, 5), num_heads=1, num_kv_heads=1, head_size=32, block_size=32
    )
    attention.check(version, attention.arguments_of(case, "cuda"))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device, or none")
@each_version
def test_tensors_on_a_device_that_is_not_current(version):
    arguments = attention.arguments_of(AttentionCase(seq_lens=(700, 30)), "cuda")
    moved = {n: v.to("cuda:1") if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    attention.check(version, moved)
    moved = cache.arguments_of(CacheCase(), "cuda")
    moved = {n: v.to("cuda:1") if isinstance(v, torch.Tensor) else v for n, v in moved.items()}
    cache.check(moved)
    assert torch.cuda.current_device() == 0
