"""The program: with the real model as users run it, and with a small one for what can go wrong."""

import re
import subprocess
import sys

import pytest
import stablekv
from absl import flags
from absl.testing import flagsaver

from examples import generate, smollm2
from examples.tests.tiny_llama import tiny_llama

VOCABULARY = 49152


def run_program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "examples.generate", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
    )


def run_here(monkeypatch, *arguments, model=None):
    """The program in this process, with a small random model; returns its exit code."""
    model = model or tiny_llama(VOCABULARY)
    monkeypatch.setattr(smollm2, "load_model", lambda file, dtype, device: model.to(device, dtype))
    with flagsaver.flagsaver():
        remaining = flags.FLAGS(["generate", *arguments])
        return generate.main(remaining)


def test_the_real_model_answers():
    done = run_program("--count=3", "--max_new_tokens=10", "--batch_size=2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[1] > What is the capital of France?"
    assert "[1] The capital of France is Paris." in lines
    assert "[1] (37 prompt tokens, 8 new ones, 3 blocks returned)" in lines
    for number in (2, 3):
        assert any(line.startswith(f"[{number}] > ") for line in lines)
        assert any(line.endswith("blocks returned)") for line in lines)
    assert re.fullmatch(
        r"28 tokens in [\d.]+ s: [\d.]+ tokens/s; the first after [\d.]+ s, "
        r"1\.\d sequences in a decode step on average",
        lines[-3],
    )
    assert re.fullmatch(
        r"blocks used: 6 at the peak, of a pool of \d \(16 tokens each, [\d.]+ MiB in all\); 0 now",
        lines[-2],
    )
    assert lines[-1] == "identical to dense attention: yes"
    # Nothing but progress: no warning, no progress bar.
    for line in done.stderr.splitlines():
        assert re.fullmatch(r"(loading|answering) [\w\- ]+ \.\.\. [\d.]+ s", line)


def test_answers_are_checked(monkeypatch, capsys):
    assert run_here(monkeypatch, "--count=7", "--max_new_tokens=20", "--block_size=8") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "identical to dense attention: yes"
    assert lines[-2].endswith("; 0 now")
    assert lines[-3].startswith("140 tokens in ")


@pytest.mark.parametrize("attention", ["v1", "v2"])
def test_attention_can_be_chosen(monkeypatch, capsys, attention):
    other = {"v1": "v2", "v2": "v1"}[attention]

    def refuse(*_):
        raise AssertionError("the other version was called")

    monkeypatch.setattr(stablekv, f"paged_attention_{other}", refuse)
    monkeypatch.setattr(stablekv.KVCache, "attend", refuse)
    assert run_here(monkeypatch, f"--attention={attention}", "--max_new_tokens=6") == 0
    assert capsys.readouterr().out.endswith("identical to dense attention: yes\n")


def test_a_wrong_block_table_is_noticed(monkeypatch, capsys):
    append = stablekv.KVCache.append

    def swap_blocks(self, sequences, num_tokens=1):
        batch = append(self, sequences, num_tokens)
        if batch.max_seq_len > 40:
            batch.block_tables[:, :2] = batch.block_tables[:, :2].flip(1)
            batch.block_tables[0, 0] = batch.block_tables[0, 1]
        return batch

    monkeypatch.setattr(stablekv.KVCache, "append", swap_blocks)
    assert run_here(monkeypatch, "--count=2", "--max_new_tokens=12") == 1
    lines = capsys.readouterr().out.splitlines()
    (verdict,) = [line for line in lines if line.startswith("identical")]
    assert re.fullmatch(
        r"identical to dense attention: no; \d+ of 24 tokens come before a difference", verdict
    )
    assert re.fullmatch(
        r"  request \d, token \d+: dense attention gives '.*' \(\d+\), "
        r"paged attention '.*' \(\d+\)",
        lines[lines.index(verdict) + 1],
    )


def test_keys_that_are_not_stored_are_noticed(monkeypatch, capsys):
    write = stablekv.KVCache.write

    def skip_a_layer(self, layer, key, value, batch):
        if layer != 1:
            write(self, layer, key, value, batch)

    monkeypatch.setattr(stablekv.KVCache, "write", skip_a_layer)
    assert run_here(monkeypatch, "--count=2", "--max_new_tokens=12") == 1
    assert "identical to dense attention: no; " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kv_cache_dtype=fp8"], "float32 and a fp8 cache"),
        (["--kv_cache_dtype=fp8_e5m2", "--attention=v2"], "float32 and a fp8_e5m2 cache"),
    ],
)
def test_a_difference_by_rounding_is_said_and_no_failure(monkeypatch, capsys, arguments, words):
    assert run_here(monkeypatch, *arguments, "--max_new_tokens=30") == 0
    lines = capsys.readouterr().out.splitlines()
    (verdict,) = [line for line in lines if line.startswith("identical")]
    match = re.fullmatch(
        r"identical to dense attention: no; (\d+) of 180 tokens come before a difference "
        rf"\(rounding, with {words}: not an error\)",
        verdict,
    )
    assert match
    assert 6 <= int(match[1]) < 180  # the first tokens come from the prompts alone
    assert lines[lines.index(verdict) + 1].startswith("  request ")


@pytest.mark.parametrize("kv_cache_dtype", ["fp8", "fp8_e5m2"])
def test_both_ways_to_attend_read_an_fp8_cache_alike(monkeypatch, capsys, kv_cache_dtype):
    """A byte of one format is another number in the other."""
    answers = []
    for attention in ("auto", "v1"):
        arguments = [f"--attention={attention}", f"--kv_cache_dtype={kv_cache_dtype}"]
        assert run_here(monkeypatch, *arguments, "--max_new_tokens=30") == 0
        out = capsys.readouterr().out
        answers.append(re.findall(r"^\[\d\] .*$", out, re.MULTILINE))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 6


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_dtypes(monkeypatch, capsys, dtype):
    assert run_here(monkeypatch, f"--dtype={dtype}", "--max_new_tokens=30") == 0
    assert re.search(
        r"^identical to dense attention: (yes|no; \d+ of 180 tokens come before a difference "
        rf"\(rounding, with {dtype}: not an error\))$",
        capsys.readouterr().out,
        re.MULTILINE,
    )


def test_the_check_can_be_left_out(monkeypatch, capsys):
    assert run_here(monkeypatch, "--nocheck", "--count=1", "--max_new_tokens=2") == 0
    assert capsys.readouterr().out.endswith("identical to dense attention: not checked\n")


def test_prompts_are_taken_in_turn(monkeypatch, capsys):
    code = run_here(
        monkeypatch, "--prompt=One?", "--prompt=Two?", "--count=3", "--max_new_tokens=1"
    )
    assert code == 0
    prompts = re.findall(r"^\[\d\] > .*$", capsys.readouterr().out, re.MULTILINE)
    assert prompts == ["[1] > One?", "[2] > Two?", "[3] > One?"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_blocks=2"], "request 1 may need 6 blocks .* and the pool has 2; raise"),
        (["--num_blocks=1000000000000"], "num_blocks must be <= 2147483647, got 1000000000000"),
        (["--max_new_tokens=2040"], "request 1 may grow to 2077 tokens, 37 of them its prompt"),
        (["--kv_cache_dtype=bfloat16"], "kv_cache_dtype must be 'auto' or fp8 for a model in"),
        (["--device=tpu7"], "--device=tpu7: "),
        (["--device=meta"], "--device=meta: only cpu and cuda have the operators"),
        (["--device=cuda:64"], r"--device=cuda:64: this torch \(.*\) sees \d+ CUDA devices"),
    ],
)
def test_what_cannot_be_done_is_said(monkeypatch, capsys, arguments, message):
    assert run_here(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(f"^generate: {message}", captured.err, re.MULTILINE)


def test_a_pool_that_is_too_large_for_the_memory_is_said(monkeypatch, capsys):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(stablekv, "KVCache", full)
    assert run_here(monkeypatch, "--num_blocks=77") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "generate: not enough memory for a pool of 77 blocks\n" in captured.err


def test_a_prompt_that_is_not_utf8_is_said():
    done = subprocess.run(
        [sys.executable, "-m", "examples.generate", b"--prompt=caf\xe9"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert "flag --prompt=['caf\\udce9']: must be UTF-8" in done.stderr
    assert "loading" not in done.stderr


@pytest.mark.parametrize(
    "argument",
    [
        "--dtype=float64",
        "--kv_cache_dtype=int8",
        "--block_size=12",
        "--attention=v3",
        "--count=0",
        "--max_new_tokens=0",
        "--batch_size=0",
        "--num_blocks=0",
        "--prompt= ",
    ],
)
def test_flags_are_validated(monkeypatch, argument):
    name = argument.split("=")[0].strip("-")
    with pytest.raises(flags.IllegalFlagValueError, match=name):
        run_here(monkeypatch, argument)


def test_arguments_without_a_flag_are_refused():
    done = run_program("What is the capital of France?")
    assert done.returncode == 1
    assert "no arguments are taken but flags, got ['What is the capital" in done.stderr
    assert "loading" not in done.stderr
