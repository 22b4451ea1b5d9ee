"""What FlashInfer is given: a stand-in of its interface attends over that, and must be right."""

import itertools
import sys
import types

import pytest
import torch
from stablekv.bench import decode, decode_cases
from stablekv.bench.flashinfer_peers import flashinfer_peers, flashinfer_work
from stablekv.bench.work import WrongAnswer


class _Wrapper:
    """The slow, obvious meaning of a plan and a run."""

    def __init__(self, workspace, layout, *, use_tensor_cores, backend):
        assert layout == "NHD"
        self.backend = backend

    def plan(self, begins, pages, last, *heads, q_data_type, kv_data_type, block_tables=None):
        self.begins, self.pages, self.last = begins.tolist(), pages.long(), last.tolist()
        self.num_heads, self.num_kv_heads, self.head_size, self.page_size = heads
        self.kv_dtype = kv_data_type
        assert (block_tables is None) == (self.backend != "cudnn")
        if block_tables is None:
            return
        for row, (begin, end) in enumerate(itertools.pairwise(self.begins)):
            assert block_tables[row, : end - begin].tolist() == self.pages[begin:end].tolist()

    def run(self, query, caches, *, k_scale, v_scale):
        assert all(cache.dtype == self.kv_dtype for cache in caches)
        rows = []
        for row, q in enumerate(query.float()):
            pages = self.pages[self.begins[row] : self.begins[row + 1]]
            length = (len(pages) - 1) * self.page_size + self.last[row]
            k, v = (cache.float()[pages].flatten(0, 1)[:length].transpose(0, 1) for cache in caches)
            grouped = q.view(self.num_kv_heads, -1, self.head_size)
            scores = grouped @ (k * k_scale).mT * self.head_size**-0.5
            rows.append((scores.softmax(-1) @ (v * v_scale)).flatten(0, 1))
        return torch.stack(rows).to(query.dtype)


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("flashinfer")
    module.BatchDecodeWithPagedKVCacheWrapper = _Wrapper
    monkeypatch.setitem(sys.modules, "flashinfer", module)
    return module


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8", "fp8_e5m2"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("backend", ["auto", "fa2", "cudnn"])
def test_the_pages_are_the_same(stand_in, kv_cache_dtype, ragged, backend):
    case = decode_cases.DecodeCase(3, 70, 4, 2, kv_cache_dtype, head_size=64, ragged=ragged)
    data = decode.make_data(case, torch.device("cpu"), layers=1)
    flashinfer_work(data, use_tensor_cores=False, backend=backend).check()


def test_a_wrong_answer_is_refused(stand_in, monkeypatch):
    monkeypatch.setattr(_Wrapper, "run", lambda self, query, caches, **scales: query)
    data = decode.make_data(decode_cases.DecodeCase(2, 40, 4, 2), torch.device("cpu"), layers=1)
    with pytest.raises(WrongAnswer, match="sequence 0 is off"):
        flashinfer_work(data, use_tensor_cores=True).check()


def test_there_is_none_without_it_or_without_a_gpu(monkeypatch):
    data = decode.make_data(decode_cases.DecodeCase(2, 40, 4, 2), torch.device("cpu"), layers=1)
    assert flashinfer_peers(data) == {}
