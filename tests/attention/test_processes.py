"""A child and a thread work as the process that was first: Linux gives AMX to a process."""

import os
import threading

import pytest
import torch

from tests.support import attention
from tests.support.attention import AttentionCase

_CASES = [
    AttentionCase((300, 17), num_heads=16, num_kv_heads=1, head_size=128, dtype=torch.bfloat16),
    AttentionCase((300, 17), 16, 1, 128, dtype=torch.bfloat16, kv_cache_dtype="fp8"),
]


def _run(case: AttentionCase) -> torch.Tensor:
    return attention.run("v1", attention.arguments_of(case, "cpu"))


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_a_child_has_the_same_answer(case):
    first = _run(case)
    child = os.fork()
    if child == 0:
        code = 2
        try:
            torch.set_num_threads(1)  # the parent's threads are not in the child
            code = 0 if torch.equal(_run(case), first) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_a_thread_has_the_same_answer(case):
    first = _run(case)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(_run(case)))
    thread.start()
    thread.join()
    assert torch.equal(answers[0], first)
