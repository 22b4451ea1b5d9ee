"""What FlashInfer is given: a stand-in of its interface attends over that, and must be right."""

import itertools
import sys
import types

import pytest
import torch
from stablekv.bench import decode, decode_cases, peer_work
from stablekv.bench import flashinfer_peers as module
from stablekv.bench.flashinfer_peers import flashinfer_peers, flashinfer_work, xqa_work
from stablekv.bench.work import WrongAnswer

from tests.support.dense import attend


class _Wrapper:
    """The slow, obvious meaning of a plan and a run."""

    def __init__(self, workspace, layout, *, use_tensor_cores, backend):
        assert layout in ("NHD", "HND")
        self.layout, self.backend = layout, backend

    def plan(self, begins, pages, last, *heads, q_data_type, kv_data_type, block_tables=None):
        self.begins, self.pages, self.last = begins.tolist(), pages, last.tolist()
        self.num_heads, self.num_kv_heads, self.head_size, self.page_size = heads
        self.kv_dtype = kv_data_type
        assert (block_tables is None) == (self.backend != "cudnn")
        if block_tables is None:
            return
        for row, (begin, end) in enumerate(itertools.pairwise(self.begins)):
            assert block_tables[row, : end - begin].tolist() == self.pages[begin:end].tolist()

    def run(self, query, caches, *, k_scale, v_scale):
        assert all(cache.dtype == self.kv_dtype for cache in caches)
        if self.layout == "HND":
            caches = [cache.transpose(1, 2) for cache in caches]
        rows = []
        for row, q in enumerate(query):
            pages = self.pages[self.begins[row] : self.begins[row + 1]]
            length = (len(pages) - 1) * self.page_size + self.last[row]
            scale = k_scale * self.head_size**-0.5
            rows.append(attend(q, *caches, pages, length, scale) * v_scale)
        return torch.stack(rows).to(query.dtype)


def _xqa(
    query,
    keys,
    values,
    tables,
    lengths,
    output,
    workspace,
    semaphores,
    num_kv_heads,
    page_size,
    *,
    q_scale,
    kv_scale,
    kv_layout,
):
    """What FlashInfer's xqa() computes."""
    assert kv_layout == "HND" and keys.shape[1:3] == (num_kv_heads, page_size)
    assert lengths.dtype == semaphores.dtype == torch.uint32
    assert not workspace.any() and not semaphores.view(torch.int32).any()
    assert len(semaphores) >= len(query) * num_kv_heads
    k, v = keys.transpose(1, 2), values.transpose(1, 2)
    scale = q_scale * kv_scale * query.shape[-1] ** -0.5
    for row, length in enumerate(lengths.flatten().tolist()):
        pages = tables[row, : -(-length // page_size)]
        output[row, 0] = attend(query[row, 0], k, v, pages, length, scale) * kv_scale


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("flashinfer")
    module.BatchDecodeWithPagedKVCacheWrapper = _Wrapper
    module.xqa = _xqa
    monkeypatch.setitem(sys.modules, "flashinfer", module)
    return module


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8", "fp8_e5m2"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("layout", ["NHD", "HND"])
@pytest.mark.parametrize("backend", ["auto", "fa2", "cudnn"])
def test_the_pages_are_the_same(stand_in, kv_cache_dtype, ragged, layout, backend):
    case = decode_cases.DecodeCase(3, 70, 4, 2, kv_cache_dtype, head_size=64, ragged=ragged)
    data = decode.make_data(case, torch.device("cpu"), layers=1)
    flashinfer_work(data, use_tensor_cores=False, layout=layout, backend=backend).check()


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8"])
@pytest.mark.parametrize("stated_length", [0, 640])
def test_xqa_has_the_same_pages(stand_in, kv_cache_dtype, stated_length):
    case = decode_cases.DecodeCase(
        3, 70, 4, 2, kv_cache_dtype, head_size=64, ragged=True, stated_length=stated_length
    )
    xqa_work(decode.make_data(case, torch.device("cpu"), layers=1)).check()


def test_a_wrong_answer_is_refused(stand_in, monkeypatch):
    monkeypatch.setattr(_Wrapper, "run", lambda self, query, caches, **scales: query)
    data = decode.make_data(decode_cases.DecodeCase(2, 40, 4, 2), torch.device("cpu"), layers=1)
    with pytest.raises(WrongAnswer, match="sequence 0 is off"):
        flashinfer_work(data, use_tensor_cores=True, layout="NHD").check()


@pytest.mark.parametrize(
    "case, error",
    [("auto", 0.01), ("fp8", 0.06)],  # more than rounding once more, or to fp8, can explain
)
def test_a_wrong_xqa_is_refused(stand_in, monkeypatch, case, error):
    def wrong(query, *args, **options):
        _xqa(query, *args, **options)
        args[4].mul_(1 + error)

    monkeypatch.setattr(stand_in, "xqa", wrong)
    shape = decode_cases.DecodeCase(2, 40, 4, 2, case)
    with pytest.raises(WrongAnswer, match="sequence 0 is off"):
        xqa_work(decode.make_data(shape, torch.device("cpu"), layers=1)).check()


@pytest.mark.parametrize(
    "kv_cache_dtype, kernels",
    [
        ("auto", ["cc", "tc", "cudnn", "xqa"]),
        ("fp8", ["cc", "tc", "xqa, fp8 queries"]),
        ("fp8_e5m2", ["cc", "tc"]),
    ],
)
def test_every_kernel_that_takes_the_cache(stand_in, monkeypatch, kv_cache_dtype, kernels):
    monkeypatch.setattr(module, "is_for", lambda name, data: name in sys.modules)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)  # of cudnn
    case = decode_cases.DecodeCase(2, 40, 4, 2, kv_cache_dtype)
    peers = flashinfer_peers(decode.make_data(case, torch.device("cpu"), layers=1))
    assert list(peers) == [f"flashinfer-{kernel}" for kernel in kernels]
    for make in peers.values():
        make().check()


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({}, True),
        ({"module": "no_such_module"}, False),
        ({"device": "cpu"}, False),
        ({"head_size": 80}, False),
        ({"dtype": torch.float32}, False),
    ],
)
def test_whom_a_step_is_for(changed, expected):
    asked = {"module": "json", "device": "cuda", "head_size": 64, "dtype": torch.float16, **changed}
    query = types.SimpleNamespace(device=torch.device(asked["device"]))
    case = decode_cases.DecodeCase(1, 1, 1, 1, head_size=asked["head_size"], dtype=asked["dtype"])
    data = types.SimpleNamespace(query=query, case=case)
    assert peer_work.is_for(asked["module"], data) is expected


def test_there_is_none_without_it_or_without_a_gpu(monkeypatch):
    data = decode.make_data(decode_cases.DecodeCase(2, 40, 4, 2), torch.device("cpu"), layers=1)
    assert flashinfer_peers(data) == {}
