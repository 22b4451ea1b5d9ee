"""What vLLM's operators are given: a stand-in of theirs attends over that."""

import types

import pytest
import torch
from stablekv.bench import decode, decode_cases, vllm_peer
from stablekv.bench.vllm_peer import vllm_peers, vllm_work
from stablekv.bench.work import WrongAnswer

from tests.support.dense import attend


def _paged_attention(out, query, key_cache, value_cache, *rest, off=0.0):
    """The slow, obvious meaning of paged_attention_v1."""
    num_kv_heads, scale, tables, lengths, block_size, longest, slopes, dtype, *rest = rest
    k_scale, v_scale, *sparse = rest
    assert slopes is None and sparse == [0, 0, 0, 64, 0]
    assert longest >= lengths.max() and key_cache.shape[1] == num_kv_heads
    assert key_cache.shape[3] == value_cache.shape[3] == block_size
    keys, values = key_cache.permute(0, 3, 1, 2, 4).flatten(3), value_cache.permute(0, 3, 1, 2)
    if dtype != "auto":
        assert dtype == "fp8_e4m3"
        keys, values = keys.view(torch.float8_e4m3fn), values.view(torch.float8_e4m3fn)
    keys, values = keys.float() * k_scale, values.float() * v_scale
    for row, length in enumerate(lengths.tolist()):
        pages = tables[row, : -(-length // block_size)]
        out[row] = attend(query[row], keys, values, pages, length, scale) + off


def _operators(off=0.0):
    def v1(out, *rest):
        _paged_attention(out, *rest, off=off)

    def v2(out, exp_sums, max_logits, tmp_out, query, *rest):
        rows = (*query.shape[:2], -(-rest[7] // 512))
        assert exp_sums.shape == max_logits.shape == rows
        assert exp_sums.dtype == max_logits.dtype == torch.float32
        assert tmp_out.shape == (*rows, query.shape[2]) and tmp_out.dtype == query.dtype
        _paged_attention(out, query, *rest, off=off)

    return types.SimpleNamespace(paged_attention_v1=v1, paged_attention_v2=v2)


def _data(**changes):
    fields = {
        "num_heads": 8,
        "num_kv_heads": 2,
        "batch": 3,
        "context": 600,
        "dtype": torch.bfloat16,
        "ragged": True,
    }
    case = decode_cases.DecodeCase(**(fields | changes))
    return decode.make_data(case, torch.device("cpu"), layers=2)


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8_e4m3"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_attends_over_the_same_pages(version, kv_cache_dtype):
    data = _data(kv_cache_dtype=kv_cache_dtype)
    work = vllm_work(data, version, _operators())
    assert len(work.calls) == 2 and work.bytes == data.case.kv_bytes
    work.check()


def test_a_wrong_answer_is_refused():
    with pytest.raises(WrongAnswer, match="is off by"):
        vllm_work(_data(), "v1", _operators(off=0.1)).check()


def test_where_it_is_none(monkeypatch):
    monkeypatch.setattr(vllm_peer, "is_for", lambda name, data: True)
    monkeypatch.setattr(vllm_peer, "_operators", _operators)
    assert list(vllm_peers(_data())) == ["vllm-v1", "vllm-v2"]
    assert vllm_peers(_data(kv_cache_dtype="fp8_e5m2")) == {}
    monkeypatch.setattr(vllm_peer, "_operators", lambda: None)
    assert vllm_peers(_data()) == {}


def test_an_operator_that_writes_nothing_is_refused():
    operators = types.SimpleNamespace(paged_attention_v1=lambda *arguments: None)
    with pytest.raises(WrongAnswer, match="is off by nan"):
        vllm_work(_data(), "v1", operators).check()


def test_not_beside_a_library_of_its_name(monkeypatch):
    monkeypatch.setattr(vllm_peer, "namespaces", lambda: ("_C", "_C_cache_ops"))
    assert vllm_peer._operators.__wrapped__() is None


def test_a_library_that_does_not_load_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "_C.abi3.so").write_text("of another torch")
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(vllm_peer, "namespaces", lambda: ("ours", "ours_too"))
    monkeypatch.setattr(vllm_peer, "_NAMESPACE", "_nobody_s")
    monkeypatch.setattr(vllm_peer.importlib.util, "find_spec", lambda name: spec)
    assert vllm_peer._operators.__wrapped__() is None


def test_on_the_cpu_there_is_none():
    assert vllm_peers(_data()) == {}
