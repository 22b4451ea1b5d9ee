"""Prints answers while they are generated: one as it grows, several as numbered lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

# A character whose bytes are not all there yet, as the tokenizer decodes it.
_INCOMPLETE = "\ufffd"


@dataclass
class _Answer:
    ids: list[int]
    decoded: str = ""  # what was handed on
    line: str = ""  # what waits to be printed


class TextStream:
    """Prints the text of token ids as soon as it is readable.

    A single answer is printed piece by piece. Of several, whole lines are printed, each with the
    number of its answer in front, and long lines are broken between words.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        out: TextIO,
        *,
        numbered: bool,
        width: int = 96,
    ) -> None:
        """Nothing is printed yet.

        Args:
            decode: the text of token ids; incomplete characters at the end come as U+FFFD.
            out: where to print.
            numbered: whether several answers share the output.
            width: of a numbered line, in characters; longer words are not broken.
        """
        self._decode = decode
        self._out = out
        self._numbered = numbered
        self._width = width
        self._answers: dict[int, _Answer] = {}

    def begin(self, number: int, prompt: str) -> None:
        """Prints the prompt that answer `number` is for, on one line."""
        self._answers[number] = _Answer([])
        self._print(number, "> " + _shortened(prompt, self._width))

    def add(self, number: int, token: int) -> None:
        """Takes the next token of an answer."""
        answer = self._answers[number]
        answer.ids.append(token)
        text = self._decode(answer.ids)
        if not text.endswith(_INCOMPLETE):
            self._hand_on(number, text)

    def end(self, number: int, note: str) -> None:
        """Prints what is left of an answer, and a line about it."""
        answer = self._answers[number]
        self._hand_on(number, self._decode(answer.ids))
        if answer.line or not self._numbered:
            self._print(number, answer.line)
        self._print(number, note)
        del self._answers[number]

    def _hand_on(self, number: int, text: str) -> None:
        answer = self._answers[number]
        new, answer.decoded = text[len(answer.decoded) :], text
        if not self._numbered:
            self._out.write(new)
            self._out.flush()
            return
        *lines, answer.line = (answer.line + new).split("\n")
        for line in lines:
            self._print_lines(number, line)
        if len(answer.line) > self._width:
            *lines, answer.line = self._wrapped(answer.line)
            for line in lines:
                self._print(number, line)

    def _print_lines(self, number: int, line: str) -> None:
        for part in self._wrapped(line):
            self._print(number, part)

    def _wrapped(self, line: str) -> list[str]:
        """The line in parts of at most the width, its last word and blanks at the end kept."""
        parts = []
        while len(line) > self._width:
            cut = line.rfind(" ", 1, self._width + 1)
            if cut < 0:
                cut = line.find(" ", self._width)
            if cut < 0:
                break
            parts.append(line[:cut])
            line = line[cut + 1 :]
        return [*parts, line]

    def _print(self, number: int, line: str) -> None:
        prefix = f"[{number}] " if self._numbered else ""
        self._out.write(f"{prefix}{line}".rstrip() + "\n")
        self._out.flush()


def _shortened(text: str, width: int) -> str:
    """The text on one line, cut between words where the cut leaves one, else anywhere."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    kept = width - len(" ...")
    cut = line.rfind(" ", 0, kept + 1)
    return line[: cut if cut > 0 else kept] + " ..."
