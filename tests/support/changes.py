"""Changes to the arguments of a good call, for the table of operators."""

from __future__ import annotations

from tests.support.contract import Arguments, Change, Refusal

_BAD_KV_CACHE_DTYPES = ("", "half", "float32", "fp4", "FP8", "fp8 ", "nvfp4", "fp8_ds_mla")


def assign(**values: object) -> Change:
    """Replaces arguments."""

    def change(arguments: Arguments) -> None:
        arguments.update(values)

    return change


def put(name: str, place: tuple[int, ...], value: int) -> Change:
    """Writes one value into a tensor argument."""

    def change(arguments: Arguments) -> None:
        arguments[name][place] = value

    return change


def alias(name: str, of: str) -> Change:
    """Passes one argument for two."""

    def change(arguments: Arguments) -> None:
        arguments[name] = arguments[of]

    return change


def view_of(name: str, of: str) -> Change:
    """Replaces a tensor by one of its shape in the memory of another of its dtype."""

    def change(arguments: Arguments) -> None:
        shape = arguments[name].shape
        arguments[name] = arguments[of].flatten()[: shape.numel()].view(shape)

    return change


def wrong_kv_cache_dtypes(source: str, cache: str) -> tuple[Refusal, ...]:
    """Values of kv_cache_dtype that no call in float32 takes, by the two tensors that they tie."""
    unknown = tuple(
        Refusal(
            f"kv_cache_dtype-{text or 'empty'}", ("kv_cache_dtype",), assign(kv_cache_dtype=text)
        )
        for text in _BAD_KV_CACHE_DTYPES
    )
    return (
        *unknown,
        Refusal("fp8-in-a-plain-cache", (cache,), assign(kv_cache_dtype="fp8")),
        Refusal("float16-for-float32", (source,), assign(kv_cache_dtype="float16")),
        Refusal("bfloat16-for-float32", (source,), assign(kv_cache_dtype="bfloat16")),
    )
