"""What FlashAttention-3 is given: a stand-in of its interface attends over that."""

import sys
import types

import pytest
import torch
from stablekv.bench import decode, decode_cases, fa3_peer
from stablekv.bench.fa3_peer import fa3_peers, fa3_work
from stablekv.bench.work import WrongAnswer

from tests.support.dense import attend


def _metadata(batch, query_length, longest, *heads, qkv_dtype, page_size, causal):
    *heads, lengths = heads
    assert query_length == 1 and causal and len(lengths) == batch
    assert longest >= lengths.max()
    return (heads, qkv_dtype, page_size)


def _flash_attn(
    query,
    keys,
    values,
    *,
    cache_seqlens,
    page_table,
    causal,
    scheduler_metadata,
    q_descale=None,
    k_descale=None,
    v_descale=None,
):
    """The slow, obvious meaning of flash_attn_with_kvcache()."""
    batch, _, num_heads, head_size = query.shape
    _, page_size, num_kv_heads, _ = keys.shape
    assert scheduler_metadata == ([num_heads, num_kv_heads, head_size], query.dtype, page_size)
    assert query.dtype == keys.dtype == values.dtype
    ones = torch.ones(batch, num_kv_heads)
    q_scale, k_scale, v_scale = (
        ones if s is None else s for s in (q_descale, k_descale, v_descale)
    )
    rows = []
    for row, length in enumerate(cache_seqlens.tolist()):
        pages = page_table[row, : -(-length // page_size)]
        k = keys.float() * (q_scale[row] * k_scale[row])[:, None]
        v = values.float() * v_scale[row][:, None]
        rows.append(attend(query[row, 0], k, v, pages, length, head_size**-0.5))
    return torch.stack(rows).unsqueeze(1).to(torch.bfloat16)


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("flash_attn_interface")
    module.get_scheduler_metadata = _metadata
    module.flash_attn_with_kvcache = _flash_attn
    monkeypatch.setitem(sys.modules, "flash_attn_interface", module)
    return module


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8"])
@pytest.mark.parametrize("stated_length", [0, 640])
def test_the_pages_are_the_same(stand_in, kv_cache_dtype, stated_length):
    case = decode_cases.DecodeCase(
        3, 70, 4, 2, kv_cache_dtype, head_size=64, ragged=True, stated_length=stated_length
    )
    fa3_work(decode.make_data(case, torch.device("cpu"), layers=1)).check()


@pytest.mark.parametrize("kv_cache_dtype, error", [("auto", 0.01), ("fp8", 0.06)])
def test_a_wrong_answer_is_refused(stand_in, monkeypatch, kv_cache_dtype, error):
    monkeypatch.setattr(
        stand_in, "flash_attn_with_kvcache", lambda *a, **o: _flash_attn(*a, **o) * (1 + error)
    )
    case = decode_cases.DecodeCase(2, 40, 4, 2, kv_cache_dtype)
    with pytest.raises(WrongAnswer, match="sequence 0 is off"):
        fa3_work(decode.make_data(case, torch.device("cpu"), layers=1)).check()


@pytest.mark.parametrize(
    "kv_cache_dtype, names",
    [("auto", ["fa3"]), ("fp8", ["fa3, fp8 queries"]), ("fp8_e5m2", [])],
)
def test_names_say_what_queries_are(stand_in, monkeypatch, kv_cache_dtype, names):
    monkeypatch.setattr(fa3_peer, "is_for", lambda module, data: module in sys.modules)
    case = decode_cases.DecodeCase(2, 40, 4, 2, kv_cache_dtype)
    peers = fa3_peers(decode.make_data(case, torch.device("cpu"), layers=1))
    assert list(peers) == names
    for make in peers.values():
        make().check()


def test_there_is_none_without_it_or_without_a_gpu():
    data = decode.make_data(decode_cases.DecodeCase(2, 40, 4, 2), torch.device("cpu"), layers=1)
    assert fa3_peers(data) == {}
