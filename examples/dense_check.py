"""Compares generated tokens with what the model generates by its ordinary, dense attention."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import transformers

from examples.scheduler import Request

_DENSE = "sdpa"  # what transformers takes by itself
_PADDING = 0  # any token: masked before a prompt, cut off after an answer


@dataclass(frozen=True)
class Difference:
    """Where an answer leaves the one of dense attention for the first time."""

    request: Request
    position: int  # of the token among the generated ones
    expected: int | None  # token; None: the dense answer had ended
    actual: int | None

    def describe(self, tokenizer: transformers.PreTrainedTokenizerFast) -> str:
        """In words, with the tokens as text."""

        def word(token: int | None) -> str:
            return "the end" if token is None else f"{tokenizer.decode([token])!r} ({token})"

        return (
            f"request {self.request.number}, token {self.position}: dense attention gives "
            f"{word(self.expected)}, paged attention {word(self.actual)}"
        )


@dataclass(frozen=True)
class Comparison:
    """Paged against dense, over all requests."""

    differences: list[Difference]  # the first of each request that has one
    num_tokens: int  # generated through the paged cache
    num_equal: int  # of these, before the first difference of their request

    @property
    def identical(self) -> bool:
        return not self.differences


def compare(
    model: transformers.LlamaForCausalLM,
    requests: list[Request],
    *,
    batch_size: int,
    stop_ids: Collection[int],
) -> Comparison:
    """Answers the requests again, greedily, by transformers' own loop, cache and attention.

    Args:
        model: the model that answered. Its attention is the dense one from here on.
        requests: with what has been generated for them; `output_ids` is compared token by token.
        batch_size: prompts that transformers pads to one length and answers together.
        stop_ids: tokens that end an answer.
    """
    model.set_attn_implementation(_DENSE)
    # Prompts of similar length together: less padding.
    ordered = sorted(requests, key=lambda request: len(request.prompt_ids))
    answers = {}
    for start in range(0, len(ordered), batch_size):
        group = ordered[start : start + batch_size]
        answers.update(zip(group, _generate(model, group, stop_ids), strict=True))

    differences = []
    num_tokens = num_equal = 0
    for request in requests:
        actual, expected = request.output_ids, answers[request]
        position = _common_length(actual, expected)
        num_tokens += len(actual)
        num_equal += position
        if actual != expected:
            differences.append(
                Difference(request, position, _at(expected, position), _at(actual, position))
            )
    return Comparison(differences, num_tokens, num_equal)


@torch.inference_mode()
def _generate(
    model: transformers.LlamaForCausalLM, requests: list[Request], stop_ids: Collection[int]
) -> list[list[int]]:
    """What transformers generates for each request, padding removed."""
    width = max(len(request.prompt_ids) for request in requests)
    padding = [width - len(request.prompt_ids) for request in requests]
    prompts = [
        [_PADDING] * count + request.prompt_ids
        for count, request in zip(padding, requests, strict=True)
    ]
    mask = [[0] * count + [1] * (width - count) for count in padding]
    output = model.generate(
        torch.tensor(prompts, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        max_new_tokens=max(request.max_new_tokens for request in requests),
        do_sample=False,
        pad_token_id=_PADDING,
        eos_token_id=sorted(stop_ids) or None,
    )
    answers = output[:, width:].tolist()
    return [
        _until_stop(answer[: request.max_new_tokens], stop_ids)
        for answer, request in zip(answers, requests, strict=True)
    ]


def _until_stop(tokens: list[int], stop_ids: Collection[int]) -> list[int]:
    """The tokens up to the first of `stop_ids`, with it."""
    for position, token in enumerate(tokens):
        if token in stop_ids:
            return tokens[: position + 1]
    return tokens


def _common_length(left: list[int], right: list[int]) -> int:
    for position, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return position
    return min(len(left), len(right))


def _at(tokens: list[int], position: int) -> int | None:
    return tokens[position] if position < len(tokens) else None
