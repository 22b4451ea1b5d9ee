"""Checks of whole numbers that callers pass: of any kind with an __index__, and none rounded."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import SupportsIndex

INT32_MAX = 2**31 - 1


def whole_number(
    name: str, value: SupportsIndex, least: int | None = None, most: int | None = None
) -> int:
    """`value` as an int. `name` is the argument's.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less than `least`, or more than `most`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if least is not None and number < least:
        raise ValueError(f"{name} must be >= {least}, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be <= {most}, got {number}")
    return number


def whole_numbers(name: str, values: Iterable[SupportsIndex]) -> list[int]:
    """`values` as ints; they are read once. `name` is the argument's.

    Raises:
        TypeError: one of them is no whole number, or there are no values to go through.
    """
    try:
        return list(map(operator.index, values))
    except TypeError:
        raise TypeError(f"{name} must be whole numbers, got {values!r}") from None
