"""GGUF files written by the gguf package come back as it reads them."""

import re

import gguf
import numpy as np
import pytest
import torch

from examples.gguf_file import GgufFile

TYPES = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "Q4_1": gguf.GGMLQuantizationType.Q4_1,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
METADATA = {
    "a.string": "Grüße",
    "a.number": 17,
    "a.fraction": 0.5,
    "a.flag": True,
    "words": ["one", "two", ""],
    "numbers": [3, 1, 2],
}


def write(path, tensors, kinds, alignment=None):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_string("a.string", METADATA["a.string"])
    writer.add_uint32("a.number", METADATA["a.number"])
    writer.add_float32("a.fraction", METADATA["a.fraction"])
    writer.add_bool("a.flag", METADATA["a.flag"])
    writer.add_array("words", METADATA["words"])
    writer.add_array("numbers", METADATA["numbers"])
    for name, values in tensors.items():
        stored = gguf.quantize(values, kinds[name])
        writer.add_tensor(name, stored, raw_dtype=kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def written(path, **named):
    """Writes a tensor of every type; returns what the gguf package reads back."""
    random = np.random.default_rng(0)
    tensors = {
        f"{name}.weight": random.standard_normal((5, 64), dtype=np.float32) for name in TYPES
    }
    write(path, tensors, {f"{name}.weight": kind for name, kind in TYPES.items()}, **named)
    return {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).reshape(5, 64)
        for tensor in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize("alignment", [None, 64])
def test_tensors_are_read_bit_for_bit(tmp_path, alignment):
    expected = written(tmp_path / "file.gguf", alignment=alignment)
    file = GgufFile(tmp_path / "file.gguf")
    assert file.names() == list(expected) == [f"{name}.weight" for name in TYPES]
    for name, values in expected.items():
        actual = file.tensor(name)
        assert actual.dtype == torch.float32
        assert actual.shape == (5, 64)
        assert actual.numpy().tobytes() == values.astype(np.float32).tobytes(), name


def test_metadata_is_read(tmp_path):
    written(tmp_path / "file.gguf")
    metadata = GgufFile(tmp_path / "file.gguf").metadata
    assert metadata["general.architecture"] == "llama"
    for name, value in METADATA.items():
        assert metadata[name] == value
        assert type(metadata[name]) is type(value)


def test_a_tensor_is_a_copy(tmp_path):
    before = written(tmp_path / "file.gguf")["F32.weight"]
    file = GgufFile(tmp_path / "file.gguf")
    file.tensor("F32.weight").zero_()
    assert np.array_equal(file.tensor("F32.weight").numpy(), before)
    assert np.array_equal(GgufFile(tmp_path / "file.gguf").tensor("F32.weight").numpy(), before)


def test_an_unknown_tensor(tmp_path):
    written(tmp_path / "file.gguf")
    with pytest.raises(KeyError):
        GgufFile(tmp_path / "file.gguf").tensor("other.weight")


def test_another_type_of_tensor_is_refused(tmp_path):
    path = tmp_path / "file.gguf"
    values = np.zeros((2, 32), dtype=np.float32)
    write(path, {"x.weight": values}, {"x.weight": gguf.GGMLQuantizationType.Q5_0})
    message = "tensor x.weight is of type 6; only F32, F16, Q4_1, Q8_0 are read here"
    with pytest.raises(ValueError, match=message):
        GgufFile(path)


def test_a_broken_file_is_refused(tmp_path):
    written(tmp_path / "whole.gguf")
    whole = (tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "broken.gguf"
    for content, reason in [
        (b"GGML" + whole[4:], "it starts with b'GGML'"),
        (whole[:4] + b"\x01" + whole[5:], "version 1, not 2 or 3"),
        (whole[:-100], "it ends at byte .*, inside tensor Q8_0.weight"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"cannot read {path} as GGUF: {reason}"):
            GgufFile(path)


@pytest.mark.parametrize(
    "add, value",
    [
        ("add_uint32", 0),
        ("add_int32", -32),
        ("add_float32", 32.0),
        ("add_string", "32"),
        ("add_array", [32, 32]),
    ],
)
def test_an_alignment_that_is_none_is_refused(tmp_path, add, value):
    path = tmp_path / "file.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    getattr(writer, add)("general.alignment", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    message = f"general.alignment is {value!r}, not a whole number above 0"
    with pytest.raises(ValueError, match=re.escape(message)):
        GgufFile(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    written(tmp_path / "whole.gguf")
    whole = (tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "broken.gguf"
    for length in range(0, len(whole) - 700, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cannot read .* as GGUF"):
            GgufFile(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        GgufFile(tmp_path / "nowhere.gguf")
