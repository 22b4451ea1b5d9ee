"""A small Llama with random weights, and its answers by the most obvious way to find them."""

from __future__ import annotations

import torch
import transformers


def tiny_llama(vocab_size: int = 211, seed: int = 0) -> transformers.LlamaForCausalLM:
    """Three layers, four heads of 32 elements, two kv heads; float32, on the CPU.

    Its weights are large enough for the next token to depend on every token before.
    """
    config = transformers.LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(config).eval()


def random_prompt(model: transformers.LlamaForCausalLM, length: int, seed: int = 0) -> list[int]:
    """Token ids."""
    random = torch.Generator().manual_seed(seed + 1000 * length)
    return torch.randint(model.config.vocab_size, (length,), generator=random).tolist()


@torch.inference_mode()
def dense_answer(
    model: transformers.LlamaForCausalLM, prompt_ids: list[int], num_tokens: int
) -> list[int]:
    """The greedy answer: the whole text through the whole model for each token, without a cache."""
    model.set_attn_implementation("eager")
    ids = list(prompt_ids)
    for _ in range(num_tokens):
        logits = model(torch.tensor([ids]), use_cache=False).logits
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt_ids) :]
