"""Answers several prompts at once with a small language model, through the paged KV cache.

    ./bazelw run //examples:generate -- --prompt "What is the capital of France?"

Prompts are answered by continuous batching: each joins when there is room, all running ones are
decoded together, and the blocks of each go back to one pool when it is done. Then the model answers
again by its ordinary dense attention: in float32 every token must be the same, or the exit code
is 1. In other formats the answers may part where rounding decides; this is shown, and no failure.
"""

from __future__ import annotations

import itertools
import os
import sys

from absl import app, flags

from examples.progress import progress

_PROMPTS = (
    "What is the capital of France?",
    "Name three primary colours.",
    "Explain in two sentences why the sky is blue.",
    "Write a short poem about a river that wants to see the sea.",
    "Here are some notes from a library's reading group. Anna liked the first half of the novel, "
    "because the island is described so well, but lost interest when the storm came. Boris read "
    "the ending twice. Chiara thought that the letters in the middle should have been shorter, and "
    "that the lighthouse keeper was the only one to tell the truth. Dmitri had not finished the "
    "book, and asked the others not to tell him who lit the fire. What did Chiara think?",
    "How many days does a week have?",
)

_PROMPT = flags.DEFINE_multi_string(
    "prompt", None, "What to answer; may be given several times. Default: a handful of prompts."
)
_COUNT = flags.DEFINE_integer(
    "count",
    None,
    "Number of sequences: the first prompts, or all of them again and again. Default: each once.",
    lower_bound=1,
)
_MAX_NEW_TOKENS = flags.DEFINE_integer(
    "max_new_tokens", 48, "Longest answer, in tokens.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4, "Sequences that are decoded together, at most.", lower_bound=1
)
_DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ["float32", "float16", "bfloat16"], "What the model computes in."
)
_KV_CACHE_DTYPE = flags.DEFINE_enum(
    "kv_cache_dtype",
    "auto",
    ["auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"],
    "How keys and values are stored; auto: in the model's dtype.",
)
_BLOCK_SIZE = flags.DEFINE_integer("block_size", 16, "Tokens of a block: 8, 16 or 32.")
_NUM_BLOCKS = flags.DEFINE_integer(
    "num_blocks",
    None,
    "Blocks of the pool. Default: enough for the batch_size largest sequences.",
    lower_bound=1,
)
_DEVICE = flags.DEFINE_string("device", "cpu", "Where to run: cpu, cuda or cuda:<number>.")
_ATTENTION = flags.DEFINE_enum(
    "attention", "auto", ["auto", "v1", "v2"], "Version of paged_attention; auto: as suits."
)
_CHECK = flags.DEFINE_bool("check", True, "Whether to compare with dense attention.")

flags.register_validator(
    "block_size", lambda value: value in (8, 16, 32), message="must be 8, 16 or 32"
)
flags.register_validator(
    "prompt", lambda value: value is None or all(map(str.strip, value)), message="must not be empty"
)
flags.register_validator(
    "prompt", lambda value: value is None or all(map(_is_utf8, value)), message="must be UTF-8"
)


def _is_utf8(text: str) -> bool:
    """False where Python had to stand something in for bytes of the command line."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def main(argv: list[str]) -> int:
    """Runs the program; returns its exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"no arguments are taken but flags, got {argv[1:]}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # everything is here already
    # Threads that spin while they wait make a run ten times slower where others compute as well.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with progress("loading torch and transformers"):  # not before the flags are known to be good
        from examples import serve

    prompts = _PROMPT.value or _PROMPTS
    options = serve.Options(
        prompts=tuple(itertools.islice(itertools.cycle(prompts), _COUNT.value or len(prompts))),
        max_new_tokens=_MAX_NEW_TOKENS.value,
        batch_size=_BATCH_SIZE.value,
        dtype=_DTYPE.value,
        kv_cache_dtype=_KV_CACHE_DTYPE.value,
        block_size=_BLOCK_SIZE.value,
        num_blocks=_NUM_BLOCKS.value,
        device=_DEVICE.value,
        attention=_ATTENTION.value,
        check=_CHECK.value,
    )
    try:
        return serve.run(options)
    except serve.UsageError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    app.run(main)
