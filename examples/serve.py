"""Answers prompts with SmolLM2 through the paged cache, and checks the answers."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import stablekv
import torch
import transformers
from stablekv import layouts

from examples import dense_check, gguf_file, paged_llama, scheduler, smollm2, text_stream
from examples.progress import progress


class UsageError(ValueError):
    """What was asked for cannot be done here. The text says why."""


@dataclass(frozen=True)
class Options:
    """What to answer, and how."""

    prompts: tuple[str, ...]
    max_new_tokens: int
    batch_size: int  # requests that run at the same time, at most
    dtype: str
    kv_cache_dtype: str
    block_size: int
    num_blocks: int | None  # None: enough for the largest `batch_size` requests
    device: str
    attention: str  # one of paged_llama.VERSIONS
    check: bool  # whether to compare with dense attention


def run(options: Options) -> int:
    """Answers the prompts on stdout, with notes on progress on stderr, and returns the exit code.

    Returns:
        0; or 1 when the answers should be those of dense attention, and are not.

    Raises:
        UsageError: an option does not fit the machine, the model or the other options.
    """
    transformers.utils.logging.disable_progress_bar()
    device = _device(options.device)
    dtype = layouts.dtype_from_name(options.dtype)
    with progress("loading SmolLM2-135M-Instruct"):
        file = _open_model()
        tokenizer = smollm2.load_tokenizer(file)
        model = smollm2.load_model(file, dtype, device)
    stop_ids = {tokenizer.eos_token_id}

    requests = [
        scheduler.Request(number, smollm2.chat_ids(tokenizer, prompt), options.max_new_tokens)
        for number, prompt in enumerate(options.prompts, 1)
    ]
    _check_context(requests, model.config.max_position_embeddings)
    kv = _new_cache(model, requests, options)
    stream = _Stream(options, tokenizer)
    server = scheduler.Scheduler(
        paged_llama.PagedLlama(model, kv, options.attention),
        batch_size=options.batch_size,
        stop_ids=stop_ids,
        on_admit=stream.on_admit,
        on_token=stream.on_token,
        on_finish=stream.on_finish,
    )
    try:
        for request in requests:
            server.submit(request)
    except scheduler.RequestTooLargeError as error:
        raise UsageError(f"{error}; raise --num_blocks or lower --max_new_tokens") from None
    server.run()
    stream.report(server.statistics, kv)

    if not options.check:
        print("identical to dense attention: not checked")
        return 0
    with progress("answering again with dense attention"):
        comparison = dense_check.compare(
            model, requests, batch_size=options.batch_size, stop_ids=stop_ids
        )
    return _report_check(comparison, options, tokenizer)


class _Stream:
    """Prints what the scheduler tells, and takes the time."""

    def __init__(self, options: Options, tokenizer: transformers.PreTrainedTokenizerFast) -> None:
        self._prompts = options.prompts
        self._text = text_stream.TextStream(
            lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
            sys.stdout,
            numbered=len(options.prompts) > 1,
        )
        self._start = time.monotonic()
        self._first_token: float | None = None

    def on_admit(self, request: scheduler.Request) -> None:
        self._text.begin(request.number, self._prompts[request.number - 1])

    def on_token(self, request: scheduler.Request) -> None:
        if self._first_token is None:
            self._first_token = time.monotonic()
        self._text.add(request.number, request.output_ids[-1])

    def on_finish(self, request: scheduler.Request) -> None:
        self._text.end(
            request.number,
            f"({len(request.prompt_ids)} prompt tokens, {len(request.output_ids)} new ones, "
            f"{request.num_blocks} blocks returned)",
        )

    def report(self, statistics: scheduler.Statistics, kv: stablekv.KVCache) -> None:
        seconds = time.monotonic() - self._start
        wait = (self._first_token or self._start) - self._start
        mean = statistics.num_rows / max(statistics.num_steps, 1)
        print(
            f"{statistics.num_tokens} tokens in {seconds:.2f} s: "
            f"{statistics.num_tokens / seconds:.1f} tokens/s; "
            f"the first after {wait:.2f} s, {mean:.1f} sequences in a decode step on average",
            flush=True,
        )
        print(
            f"blocks used: {statistics.peak_blocks} at the peak, of a pool of {kv.num_blocks} "
            f"({kv.block_size} tokens each, {kv.num_bytes / 2**20:.1f} MiB in all); "
            f"{kv.num_used_blocks} now",
            flush=True,
        )


def _open_model() -> gguf_file.GgufFile:
    try:
        return gguf_file.GgufFile(smollm2.find_file())
    except FileNotFoundError as error:
        raise UsageError(str(error)) from None


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"--device={name}: {str(error).splitlines()[0]}") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device={name}: only cpu and cuda have the operators")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device={name}: this torch ({torch.__version__}) sees "
            f"{torch.cuda.device_count()} CUDA devices"
        )
    return device


def _check_context(requests: list[scheduler.Request], context: int) -> None:
    for request in requests:
        total = len(request.prompt_ids) + request.max_new_tokens
        if total > context:
            raise UsageError(
                f"request {request.number} may grow to {total} tokens, {len(request.prompt_ids)} "
                f"of them its prompt, and the model has a context of {context}"
            )


def _new_cache(
    model: transformers.LlamaForCausalLM, requests: list[scheduler.Request], options: Options
) -> stablekv.KVCache:
    num_blocks = options.num_blocks
    if num_blocks is None:
        most = sorted(scheduler.most_blocks(request, options.block_size) for request in requests)
        num_blocks = sum(most[-options.batch_size :])
    try:
        return paged_llama.new_cache(
            model,
            num_blocks=num_blocks,
            block_size=options.block_size,
            kv_cache_dtype=options.kv_cache_dtype,
        )
    except MemoryError:
        raise UsageError(f"not enough memory for a pool of {num_blocks} blocks") from None
    except (ValueError, RuntimeError) as error:  # RuntimeError: torch has not enough memory
        raise UsageError(str(error).splitlines()[0]) from None


def _report_check(
    comparison: dense_check.Comparison,
    options: Options,
    tokenizer: transformers.PreTrainedTokenizerFast,
) -> int:
    if comparison.identical:
        print("identical to dense attention: yes")
        return 0
    # Other formats round: a token whose rival is as likely may then come out differently.
    rounds = options.dtype != "float32" or options.kv_cache_dtype != "auto"
    print(
        "identical to dense attention: no; "
        f"{comparison.num_equal} of {comparison.num_tokens} tokens come before a difference"
        + (f" (rounding, with {_formats(options)}: not an error)" if rounds else "")
    )
    for difference in comparison.differences:
        print("  " + difference.describe(tokenizer))
    return 0 if rounds else 1


def _formats(options: Options) -> str:
    plain = options.kv_cache_dtype == "auto"
    return options.dtype if plain else f"{options.dtype} and a {options.kv_cache_dtype} cache"
