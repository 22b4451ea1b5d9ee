"""Continuous batching: requests join the batch when there is room, and leave when they are done.

A request is admitted when a slot of the batch is free and the pool could carry it, and all that
run, to their last tokens. So no request is ever stopped half-way for want of blocks, and those who
wait are served in the order in which they came.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from examples.paged_llama import PagedLlama


class RequestTooLargeError(ValueError):
    """A request that the pool could never carry to its end."""


@dataclass(eq=False)
class Request:
    """A prompt, and what has been generated for it."""

    number: int
    prompt_ids: list[int]
    max_new_tokens: int
    output_ids: list[int] = field(default_factory=list)
    sequence: int | None = None  # of the cache, while it runs
    num_blocks: int = 0  # that its sequence had in the end


def most_blocks(request: Request, block_size: int) -> int:
    """Blocks of a request if it is not stopped: its last token is never written to the cache."""
    return -(-(len(request.prompt_ids) + request.max_new_tokens - 1) // block_size)


@dataclass
class Statistics:
    """What a run took."""

    num_tokens: int = 0  # generated
    num_steps: int = 0  # decode steps
    num_rows: int = 0  # tokens generated in decode steps
    peak_blocks: int = 0  # of the pool
    peak_requests: int = 0  # running at once


class Scheduler:
    """Runs requests over the blocks of one pool, several at a time."""

    def __init__(
        self,
        llama: PagedLlama,
        *,
        batch_size: int,
        stop_ids: Collection[int] = (),
        on_admit: Callable[[Request], None] = lambda request: None,
        on_token: Callable[[Request], None] = lambda request: None,
        on_finish: Callable[[Request], None] = lambda request: None,
    ) -> None:
        """No request yet.

        Args:
            llama: the model; its cache belongs to the scheduler from here on.
            batch_size: requests that run at the same time, at most.
            stop_ids: tokens that end an answer; the answer includes them.
            on_admit: called when a request leaves the queue.
            on_token: called for each generated token, the last of `output_ids`.
            on_finish: called when a request is done and has returned its blocks.

        Raises:
            ValueError: `batch_size` is less than one, or the cache is in use.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        if llama.kv.num_used_blocks:
            raise ValueError(f"the cache is in use: {llama.kv.num_used_blocks} blocks are taken")
        self.statistics = Statistics()
        self._llama = llama
        self._kv = llama.kv
        self._batch_size = batch_size
        self._stop_ids = frozenset(stop_ids)
        self._on_admit, self._on_token, self._on_finish = on_admit, on_token, on_finish
        self._waiting: collections.deque[Request] = collections.deque()
        self._running: list[Request] = []

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        return len(self._running)

    def submit(self, request: Request) -> None:
        """Puts a request at the end of the queue.

        Raises:
            RequestTooLargeError: the whole pool has too few blocks for it.
            ValueError: the prompt is empty, or no token is to be generated.
        """
        if not request.prompt_ids:
            raise ValueError(f"request {request.number} has an empty prompt")
        if request.max_new_tokens < 1:
            raise ValueError(
                f"request {request.number}: max_new_tokens must be >= 1, "
                f"got {request.max_new_tokens}"
            )
        needed = most_blocks(request, self._kv.block_size)
        if needed > self._kv.num_blocks:
            raise RequestTooLargeError(
                f"request {request.number} may need {needed} blocks "
                f"({len(request.prompt_ids)} prompt tokens and up to {request.max_new_tokens} new "
                f"ones, {self._kv.block_size} to a block), and the pool has {self._kv.num_blocks}"
            )
        self._waiting.append(request)

    def run(self) -> None:
        """Serves all requests to their ends.

        What the model or a callback raises is raised here. The requests that run are then dropped:
        they keep what was generated and their blocks go back. Those that wait can still be run.
        """
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """As `run`, stopping after each step, so that requests can be submitted in between."""
        while self._waiting or self._running:
            try:
                self._admit()
                self._decode()
            except BaseException:
                self._drop_running()
                raise
            yield

    def _drop_running(self) -> None:
        while self._running:
            request = self._running.pop()
            self._kv.free(request.sequence)
            request.sequence = None

    def _admit(self) -> None:
        """Prefills requests from the front of the queue while there is room."""
        block_size = self._kv.block_size
        while self._waiting and len(self._running) < self._batch_size:
            reserved = sum(most_blocks(request, block_size) for request in self._running)
            if reserved + most_blocks(self._waiting[0], block_size) > self._kv.num_blocks:
                return
            request = self._waiting.popleft()
            request.sequence = self._kv.add()
            self._running.append(request)
            self._on_admit(request)
            self._count_peaks()
            self._accept(request, self._llama.prefill(request.sequence, request.prompt_ids))

    def _decode(self) -> None:
        """One more token for every running request."""
        running = list(self._running)
        if not running:
            return
        tokens = self._llama.decode(
            [request.sequence for request in running],
            [request.output_ids[-1] for request in running],
        )
        self.statistics.num_steps += 1
        self.statistics.num_rows += len(running)
        for request, token in zip(running, tokens, strict=True):
            self._accept(request, token)

    def _accept(self, request: Request, token: int) -> None:
        self._count_peaks()
        self.statistics.num_tokens += 1
        request.output_ids.append(token)
        self._on_token(request)
        if token in self._stop_ids or len(request.output_ids) == request.max_new_tokens:
            self._finish(request)

    def _finish(self, request: Request) -> None:
        used = self._kv.num_used_blocks
        self._running.remove(request)
        self._kv.free(request.sequence)
        request.sequence = None
        request.num_blocks = used - self._kv.num_used_blocks
        self._on_finish(request)

    def _count_peaks(self) -> None:
        statistics = self.statistics
        statistics.peak_blocks = max(statistics.peak_blocks, self._kv.num_used_blocks)
        statistics.peak_requests = max(statistics.peak_requests, len(self._running))
