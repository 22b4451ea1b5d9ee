"""Answers on a shared output."""

import io

from examples.text_stream import TextStream

# A token is a byte here.
DECODE = lambda ids: bytes(ids).decode("utf-8", errors="replace")  # noqa: E731


def test_a_single_answer_appears_token_by_token():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=False)
    stream.begin(1, "Say hello.")
    assert out.getvalue() == "> Say hello.\n"
    for token, seen in [(ord("H"), "H"), (ord("i"), "Hi"), (ord("\n"), "Hi\n")]:
        stream.add(1, token)
        assert out.getvalue() == "> Say hello.\n" + seen
    stream.add(1, ord("!"))
    stream.end(1, "(done)")
    assert out.getvalue() == "> Say hello.\nHi\n!\n(done)\n"


def test_several_answers_come_in_numbered_lines():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=True)
    stream.begin(1, "one")
    stream.begin(2, "two")
    for left, right in zip(b"ab\ncd", b"ef\ngh", strict=True):
        stream.add(1, left)
        stream.add(2, right)
    assert out.getvalue() == "[1] > one\n[2] > two\n[1] ab\n[2] ef\n"
    stream.end(2, "(done)")
    stream.end(1, "(done)")
    assert out.getvalue().endswith("[2] gh\n[2] (done)\n[1] cd\n[1] (done)\n")


def test_long_lines_break_between_words():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=True, width=10)
    stream.begin(1, "p")
    for token in b"one two three four-and-five-and-six seven":
        stream.add(1, token)
    stream.end(1, "(done)")
    lines = ["> p", "one two", "three", "four-and-five-and-six", "seven", "(done)"]
    assert out.getvalue() == "".join(f"[1] {line}\n" for line in lines)


def test_a_line_appears_before_it_ends():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=True, width=10)
    stream.begin(1, "p")
    for token in b"one two three":
        stream.add(1, token)
    assert out.getvalue() == "[1] > p\n[1] one two\n"


def test_a_character_waits_for_its_last_byte():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=False)
    stream.begin(1, "p")
    first, second, third = "\u20ac".encode()
    stream.add(1, first)
    stream.add(1, second)
    assert out.getvalue() == "> p\n"
    stream.add(1, third)
    assert out.getvalue() == "> p\n\u20ac"


def test_a_character_that_is_never_complete_is_shown_as_such():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=False)
    stream.begin(1, "p")
    stream.add(1, "\u20ac".encode()[0])
    stream.end(1, "(done)")
    assert out.getvalue() == "> p\n\ufffd\n(done)\n"


def test_a_long_prompt_is_shortened_to_a_line():
    out = io.StringIO()
    TextStream(DECODE, out, numbered=True, width=20).begin(3, "many\nwords " * 9)
    assert out.getvalue() == "[3] > many words many ...\n"


def test_a_long_prompt_without_blanks_is_cut_at_the_width():
    out = io.StringIO()
    stream = TextStream(DECODE, out, numbered=False, width=10)
    stream.begin(1, 10 * "a")
    stream.begin(2, 11 * "b")
    stream.begin(3, "cccc dd ee")
    stream.begin(4, "dddddd eeee")
    stream.begin(5, "...")
    assert out.getvalue() == "> aaaaaaaaaa\n> bbbbbb ...\n> cccc dd ee\n> dddddd ...\n> ...\n"
