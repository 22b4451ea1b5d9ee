"""The comparison with dense attention finds what is there, and only that."""

import pytest

from examples import dense_check
from examples.scheduler import Request
from examples.tests.tiny_llama import dense_answer, random_prompt, tiny_llama

MODEL = tiny_llama()
SIZES = [(3, 10), (40, 7), (17, 12)]  # prompt tokens, new tokens


class Words:
    """In place of a tokenizer."""

    def decode(self, ids):
        return f"word{ids[0]}"


def answered(stop_ids=()):
    """Requests with the right answers."""
    requests = []
    for number, (length, max_new_tokens) in enumerate(SIZES, 1):
        request = Request(number, random_prompt(MODEL, length, seed=number), max_new_tokens)
        answer = dense_answer(MODEL, request.prompt_ids, max_new_tokens)
        ends = [i for i, token in enumerate(answer) if token in stop_ids]
        request.output_ids = answer[: ends[0] + 1] if ends else answer
        requests.append(request)
    return requests


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_right_answers_are_identical(batch_size):
    comparison = dense_check.compare(MODEL, answered(), batch_size=batch_size, stop_ids=())
    assert comparison.identical
    assert comparison.differences == []
    assert comparison.num_tokens == comparison.num_equal == 10 + 7 + 12


def test_a_wrong_token_is_found():
    requests = answered()
    right = requests[1].output_ids[4]
    wrong = (right + 1) % MODEL.config.vocab_size
    requests[1].output_ids[4] = wrong
    comparison = dense_check.compare(MODEL, requests, batch_size=2, stop_ids=())
    assert not comparison.identical
    assert comparison.differences == [dense_check.Difference(requests[1], 4, right, wrong)]
    assert comparison.num_tokens == 10 + 7 + 12
    assert comparison.num_equal == 10 + 4 + 12
    assert comparison.differences[0].describe(Words()) == (
        f"request 2, token 4: dense attention gives 'word{right}' ({right}), "
        f"paged attention 'word{wrong}' ({wrong})"
    )


def test_differences_come_in_the_order_of_the_requests():
    requests = answered()
    for request in requests:
        request.output_ids[0] = (request.output_ids[0] + 1) % MODEL.config.vocab_size
    comparison = dense_check.compare(MODEL, requests, batch_size=2, stop_ids=())
    assert [difference.request.number for difference in comparison.differences] == [1, 2, 3]
    assert comparison.num_equal == 0


def test_an_answer_that_stops_too_early_is_found():
    requests = answered()
    last = requests[2].output_ids.pop()
    comparison = dense_check.compare(MODEL, requests, batch_size=8, stop_ids=())
    assert comparison.differences == [dense_check.Difference(requests[2], 11, last, None)]
    assert "paged attention the end" in comparison.differences[0].describe(Words())


def test_a_stop_token_ends_the_dense_answer_too():
    stop = answered()[0].output_ids[5]
    requests = answered({stop})
    assert len(requests[0].output_ids) <= 6
    assert dense_check.compare(MODEL, requests, batch_size=8, stop_ids={stop}).identical


def test_an_answer_that_goes_on_after_its_stop_token_is_found():
    requests = answered()
    stop = requests[0].output_ids[5]
    position = requests[0].output_ids.index(stop) + 1
    comparison = dense_check.compare(MODEL, requests[:1], batch_size=8, stop_ids={stop})
    after = requests[0].output_ids[position]
    assert comparison.differences == [dense_check.Difference(requests[0], position, None, after)]
