"""The operators under torch.compile, opcheck and the meta device."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import attention, contract, tensors
from tests.support.attention import AttentionCase
from tests.support.contract import Variant
from tests.support.devices import each_device
from tests.support.operators import OPERATORS

_VARIANTS = [
    Variant(torch.float32, "auto"),
    Variant(torch.float16, "fp8"),
    Variant(torch.bfloat16, "fp8_e5m2"),
]


_OPCHECKS = [
    "test_schema",  # compares tensors by arithmetic, which torch does not have for float8
    "test_autograd_registration",
    "test_faketensor",
    "test_aot_dispatch_dynamic",
]
_FLOAT8 = tuple(layouts.FP8_FORMATS.values())


@pytest.fixture(autouse=True)
def _fresh_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


@each_device
@pytest.mark.parametrize("variant", _VARIANTS, ids=str)
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_opcheck(operator, variant, device):
    overload = getattr(getattr(torch.ops, operator.namespace), operator.name).default
    arguments = operator.build(variant, device)
    tests = _OPCHECKS
    if any(isinstance(v, torch.Tensor) and v.dtype in _FLOAT8 for v in arguments.values()):
        tests = [test for test in tests if test != "test_schema"]
    torch.library.opcheck(overload, tuple(arguments.values()), test_utils=tests)


@each_device
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_opcheck_of_empty_input(operator, device):
    overload = getattr(getattr(torch.ops, operator.namespace), operator.name).default
    arguments = operator.build_empty(device)
    torch.library.opcheck(overload, tuple(arguments.values()))


@each_device
@pytest.mark.parametrize("variant", _VARIANTS, ids=str)
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_every_operator_compiles(operator, variant, device):
    """A whole graph of it alone does what the operator does, to the bit."""
    step = torch.compile(operator.call, fullgraph=True, dynamic=True, backend="aot_eager")
    want = _written_by(operator.call, operator, variant, device)
    got = _written_by(step, operator, variant, device)
    assert want
    for name, tensor in want.items():
        assert torch.equal(got[name], tensor), name


def _written_by(function, operator, variant, device):
    """The bytes that a call leaves in what it writes, memory by address included."""
    memory = operator.memory(device)
    for seed, tensor in enumerate(memory):  # other tests may have left there what is to come
        noise = torch.randint(256, tensor.shape, generator=torch.Generator().manual_seed(seed))
        tensor.copy_(noise)
    before = [tensor.clone() for tensor in memory]
    arguments = operator.build(variant, device)
    function(**arguments)
    written = {
        row.name: tensors.bytes_of(arguments[row.name])
        for row in contract.rows_of(operator, variant)
        if row.written and not row.or_more  # scratch is nobody's business
    }
    changed = [i for i, old in enumerate(before) if not torch.equal(memory[i], old)]
    return written | {f"memory {i}": memory[i].clone() for i in changed}


@each_device
def test_a_decode_step_compiles_for_any_batch(device):
    """One graph serves batches, lengths and pools that it was not compiled for.

    Not any max_seq_len: the schema has it an int, and the compiler makes a constant of each.
    """
    compiled_graphs, backend = _counting_backend()
    step = torch.compile(_decode_step, fullgraph=True, dynamic=True, backend=backend)
    # The compiler takes sizes that are equal at first to stay equal, so no size of the first call
    # is another one's too.
    for lengths in ((5, 40, 9, 9, 9, 9, 9), (17, 3, 60), (1, 2, 3, 4, 5)):
        _check_step(step, lengths, device, max_seq_len=64)
    assert len(compiled_graphs) == 1


@each_device
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("lengths", [(5, 40), (600, 1200)])  # v1, and v2 with its scratch
def test_a_decode_step_compiles_to_the_end(lengths, backend, device):
    step = torch.compile(_decode_step, fullgraph=True, dynamic=True, backend=backend)
    _check_step(step, lengths, device)
    _check_step(step, (*lengths, 700), device)


@each_device
@pytest.mark.parametrize("freed_each", [0, 1, 3])  # steps between two departures; 0: none
def test_a_step_over_a_cache_of_a_longest_length_compiles_once(freed_each, device):
    """Also while sequences come and go, more of them than the compiler makes versions for."""
    compiled_graphs, backend = _counting_backend()
    sizes = dict(num_layers=1, num_blocks=20, num_kv_heads=2, head_size=64, block_size=8)
    kv = stablekv.KVCache(**sizes, device=device, max_seq_len=64)
    sequences = [kv.add(), kv.add()]

    def step(row, query, batch):
        kv.write(0, row, row, batch)
        return kv.attend(0, query, batch)

    compiled = torch.compile(step, fullgraph=True, backend=backend)
    for count in range(1, 31):
        row, query = torch.randn(2, 2, 2, 64, device=device)
        batch = kv.append(sequences)
        out = compiled(row, query, batch)
        assert torch.equal(out, kv.attend(0, query, batch))
        if freed_each and count % freed_each == 0:
            kv.free(sequences.pop(0))
            sequences.append(kv.add())
    assert len(compiled_graphs) == 1


def _counting_backend():
    """A backend that compiles nothing, and the list of the graphs that it was given."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return graph.forward

    return graphs, backend


def _decode_step(
    key, value, query, key_cache, value_cache, slots, tables, lengths, max_seq_len, one
):
    """Writes the newest token of each sequence, then attends; allocates output and scratch.

    Nothing in it is for the compiler to generate code for, so it needs no C++ compiler.
    """
    stablekv.reshape_and_cache(key, value, key_cache, value_cache, slots, "auto", one, one)
    return stablekv.paged_attention(
        query,
        key_cache,
        value_cache,
        tables,
        lengths,
        max_seq_len=max_seq_len,
        scale=0.125,
        k_scale=one,
        v_scale=one,
    )


def _check_step(step, lengths, device, max_seq_len=None):
    case = AttentionCase(seq_lens=lengths, dtype=torch.float16, max_seq_len=max_seq_len)
    arguments = attention.arguments_of(case, device)
    tables, block_size = arguments["block_tables"], case.block_size
    last = torch.tensor(lengths, device=device) - 1
    blocks = tables.gather(1, (last // block_size)[:, None])[:, 0].long()
    slots = blocks * block_size + last % block_size
    key, value = torch.randn(2, len(lengths), 2, 64, device=device, dtype=torch.float16)
    step_arguments = (
        key,
        value,
        arguments["query"],
        arguments["key_cache"],
        arguments["value_cache"],
        slots,
        tables,
        arguments["seq_lens"],
        arguments["max_seq_len"],
        torch.ones((), device=device),
    )
    out = step(*step_arguments)
    got_keys = arguments["key_cache"].clone()
    want = _decode_step(*step_arguments)  # writes the same once more
    assert torch.equal(out, want)
    assert torch.equal(got_keys.view(torch.int16), arguments["key_cache"].view(torch.int16))
    written = got_keys[blocks, :, :, last % block_size].flatten(2)
    assert torch.equal(written, key)
    attention.check("v1", {**arguments, "scale": 0.125})


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_a_call_all_on_meta_does_nothing(operator):
    assert operator.call(**_on_meta(operator)) is None


def _on_meta(operator):
    arguments = operator.build(_VARIANTS[0], "cpu")
    return {n: v.to("meta") if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_none_for_the_first_input_is_named_on_meta_too(operator):
    schema = getattr(getattr(torch.ops, operator.namespace), operator.name).default._schema
    read = [a for a in schema.arguments if str(a.type) == "Tensor" and a.alias_info is None]
    _check_none_is_refused(operator, read[0].name)


@pytest.mark.parametrize("argument", ["src", "dst", "block_mapping"])
def test_none_for_a_tensor_of_swap_blocks_is_named_on_meta_too(argument):
    (operator,) = (operator for operator in OPERATORS if operator.name == "swap_blocks")
    _check_none_is_refused(operator, argument)


def _check_none_is_refused(operator, argument):
    message = f"{operator.name}: {argument} must be a tensor, got None"
    with pytest.raises(RuntimeError, match=message):
        operator.call(**{**_on_meta(operator), argument: None})


def test_every_operator_has_a_fake():
    for operator in OPERATORS:
        name = f"{operator.namespace}::{operator.name}"
        assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "Meta"), name


def test_partitions_are_computed_from_a_symbolic_length():
    @torch.compile(fullgraph=True, dynamic=True, backend="eager")
    def scratch(query, tokens):
        return query.new_empty(query.shape[0], layouts.num_partitions(tokens))

    for tokens in (513, 1025, 5000):
        assert scratch(torch.empty(3, 4), tokens).shape == (3, -(-tokens // 512))
