"""Continuous batching, with a small random Llama against answers without any cache."""

import pytest

from examples import paged_llama
from examples.scheduler import Request, RequestTooLargeError, Scheduler
from examples.tests.tiny_llama import dense_answer, random_prompt, tiny_llama

MODEL = tiny_llama()


def served(requests, *, num_blocks, block_size=16, batch_size=4, version="auto", **named):
    """Serves requests, and returns the scheduler and its cache."""
    kv = paged_llama.new_cache(
        MODEL, num_blocks=num_blocks, block_size=block_size, kv_cache_dtype="auto"
    )
    llama = paged_llama.PagedLlama(MODEL, kv, version)
    scheduler = Scheduler(llama, batch_size=batch_size, **named)
    for request in requests:
        scheduler.submit(request)
    scheduler.run()
    return scheduler, kv


def requests_of(*sizes):
    """One request for each (prompt length, new tokens)."""
    return [
        Request(number, random_prompt(MODEL, length, seed=number), max_new_tokens)
        for number, (length, max_new_tokens) in enumerate(sizes, 1)
    ]


def expected(request):
    return dense_answer(MODEL, request.prompt_ids, request.max_new_tokens)


@pytest.mark.parametrize("version", paged_llama.VERSIONS)
@pytest.mark.parametrize("block_size", [8, 16, 32])
def test_answers_are_those_without_a_cache(version, block_size):
    # Lengths on both sides of a block's end; more requests than slots of the batch.
    requests = requests_of((1, 12), (8, 9), (15, 20), (16, 1), (17, 3), (33, 16), (70, 5))
    _, kv = served(requests, num_blocks=48, block_size=block_size, batch_size=3, version=version)
    for request in requests:
        assert request.output_ids == expected(request)
    assert kv.num_used_blocks == 0


@pytest.mark.parametrize("version", ["auto", "v2"])
def test_a_sequence_longer_than_a_partition(version):
    requests = requests_of((509, 8), (20, 8))
    served(requests, num_blocks=40, version=version)
    for request in requests:
        assert request.output_ids == expected(request)


def test_requests_join_and_leave_while_others_run():
    events = []
    requests = requests_of((5, 2), (6, 9), (7, 3), (8, 2))
    scheduler, _ = served(
        requests,
        num_blocks=16,
        batch_size=2,
        on_admit=lambda request: events.append(("in", request.number)),
        on_finish=lambda request: events.append(("out", request.number)),
    )
    # 1 and 2 run; 1 leaves after its second token, 3 joins, leaves, 4 joins; 2 outlasts them.
    assert events == [
        ("in", 1), ("in", 2), ("out", 1), ("in", 3), ("out", 3), ("in", 4), ("out", 4), ("out", 2),
    ]  # fmt: skip
    assert scheduler.statistics.peak_requests == 2
    assert scheduler.statistics.num_tokens == 2 + 9 + 3 + 2
    assert scheduler.statistics.num_steps == 8
    assert scheduler.statistics.num_rows == 1 + 8 + 2 + 1
    for request in requests:
        assert request.output_ids == expected(request)


def test_a_request_waits_until_the_pool_can_carry_it_to_its_end():
    # 2 + 3 blocks at the end, of 4: the second waits, although its prompt would fit.
    events = []
    requests = requests_of((20, 10), (40, 5), (3, 2))
    scheduler, kv = served(
        requests,
        num_blocks=4,
        on_admit=lambda request: events.append(("in", request.number)),
        on_finish=lambda request: events.append(("out", request.number)),
    )
    # The third would fit beside the first, and still waits for its turn.
    assert events == [("in", 1), ("out", 1), ("in", 2), ("in", 3), ("out", 3), ("out", 2)]
    assert scheduler.statistics.peak_blocks == 4
    assert kv.num_used_blocks == 0
    assert [request.num_blocks for request in requests] == [2, 3, 1]
    for request in requests:
        assert request.output_ids == expected(request)


def test_a_pool_of_just_enough_blocks_serves_everything():
    requests = requests_of(*[(30, 19)] * 5)  # 48 tokens to store: three blocks each
    scheduler, kv = served(requests, num_blocks=3)
    assert scheduler.statistics.peak_blocks == 3
    assert scheduler.statistics.peak_requests == 1
    assert kv.num_used_blocks == 0
    for request in requests:
        assert request.output_ids == expected(request)


def test_a_request_that_can_never_fit_is_refused_at_once():
    fits, does_not = requests_of((30, 19), (30, 20))
    kv = paged_llama.new_cache(MODEL, num_blocks=3, block_size=16, kv_cache_dtype="auto")
    scheduler = Scheduler(paged_llama.PagedLlama(MODEL, kv), batch_size=4)
    scheduler.submit(fits)
    message = (
        r"request 2 may need 4 blocks \(30 prompt tokens and up to 20 new ones, 16 to a block\), "
        "and the pool has 3"
    )
    with pytest.raises(RequestTooLargeError, match=message):
        scheduler.submit(does_not)
    scheduler.run()
    assert fits.output_ids == expected(fits)
    assert does_not.output_ids == []


def test_a_stop_token_ends_an_answer_early():
    (reference,) = requests_of((11, 12))
    answer = expected(reference)
    stop = next(token for token in answer[2:] if token not in answer[:2])
    (request,) = requests_of((11, 12))
    _, kv = served([request], num_blocks=4, stop_ids={stop})
    assert request.output_ids == answer[: answer.index(stop) + 1]
    assert len(request.output_ids) < len(answer)
    assert kv.num_used_blocks == 0


def test_a_stop_token_first_needs_no_decode_step():
    (request,) = requests_of((11, 12))
    first = expected(request)[0]
    scheduler, kv = served([request], num_blocks=4, stop_ids={first})
    assert request.output_ids == [first]
    assert scheduler.statistics.num_steps == 0
    assert kv.num_used_blocks == 0


def test_requests_may_come_while_others_run():
    early, late = requests_of((9, 6), (21, 4))
    kv = paged_llama.new_cache(MODEL, num_blocks=8, block_size=8, kv_cache_dtype="auto")
    scheduler = Scheduler(paged_llama.PagedLlama(MODEL, kv), batch_size=2)
    scheduler.submit(early)
    steps = scheduler.steps()
    next(steps)
    assert len(early.output_ids) == 2
    assert (scheduler.num_running, scheduler.num_waiting) == (1, 0)
    scheduler.submit(late)
    for _ in steps:
        pass
    assert early.output_ids == expected(early)
    assert late.output_ids == expected(late)
    assert (scheduler.num_running, scheduler.num_waiting) == (0, 0)


@pytest.mark.parametrize("failing", ["prefill", "decode", "on_admit", "on_token", "on_finish"])
def test_after_an_error_those_who_wait_can_be_served(monkeypatch, failing):
    requests = requests_of((21, 4), (9, 1), (5, 3), (7, 6))
    kv = paged_llama.new_cache(MODEL, num_blocks=8, block_size=8, kv_cache_dtype="auto")
    llama = paged_llama.PagedLlama(MODEL, kv)

    def fail(*_):
        raise RuntimeError("out of order")

    callbacks = {failing: fail} if failing.startswith("on_") else {}
    scheduler = Scheduler(llama, batch_size=2, **callbacks)
    for request in requests:
        scheduler.submit(request)
    with monkeypatch.context() as broken:
        if not callbacks:
            broken.setattr(llama, failing, fail)
        with pytest.raises(RuntimeError, match="out of order"):
            scheduler.run()
    assert (scheduler.num_running, kv.num_used_blocks) == (0, 0)
    assert all(request.sequence is None for request in requests)
    waiting = requests[len(requests) - scheduler.num_waiting :]
    assert waiting
    if callbacks:
        setattr(scheduler, f"_{failing}", lambda request: None)
    scheduler.run()
    assert kv.num_used_blocks == 0
    for request in waiting:
        assert request.output_ids == expected(request)


def test_nothing_to_do():
    scheduler, _ = served([], num_blocks=1)
    assert scheduler.statistics.num_tokens == 0


def test_bad_requests_are_refused():
    kv = paged_llama.new_cache(MODEL, num_blocks=3, block_size=16, kv_cache_dtype="auto")
    scheduler = Scheduler(paged_llama.PagedLlama(MODEL, kv), batch_size=1)
    with pytest.raises(ValueError, match="request 7 has an empty prompt"):
        scheduler.submit(Request(7, [], 3))
    with pytest.raises(ValueError, match="request 8: max_new_tokens must be >= 1, got 0"):
        scheduler.submit(Request(8, [1], 0))
    assert scheduler.num_waiting == 0


def test_bad_arguments_are_refused():
    kv = paged_llama.new_cache(MODEL, num_blocks=3, block_size=16, kv_cache_dtype="auto")
    llama = paged_llama.PagedLlama(MODEL, kv)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        Scheduler(llama, batch_size=0)
    kv.append([kv.add()], [17])
    with pytest.raises(ValueError, match="the cache is in use: 2 blocks are taken"):
        Scheduler(llama, batch_size=1)
    with pytest.raises(ValueError, match="version must be one of auto, v1, v2, got 'v3'"):
        paged_llama.PagedLlama(MODEL, kv, "v3")
