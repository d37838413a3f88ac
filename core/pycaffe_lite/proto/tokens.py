"""The words of a prototxt: names, numbers, strings and symbols, each with its offset, which errors tell as a place."""

from __future__ import annotations

import re
import unicodedata

from pycaffe_lite.errors import ParseError
from pycaffe_lite.words import printable, short

NAME, NUMBER, STRING, _SYMBOL, COMMENT, END, OTHER = range(1, 8)
_SHOWN = 100


class PositionedText:
    """A text and its name, for errors that say file:line:column and show the line.

    Args:
        text: the text; a byte-order mark and carriage returns are dropped.
        filename: what errors call it.
    """

    def __init__(self, text: str, filename: str) -> None:
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.filename = filename
        self._counted = (0, 1)

    def line(self, offset: int) -> int:
        """The line of an offset, from 1. Offsets that only rise cost one pass over the text altogether."""
        start, line = self._counted if offset >= self._counted[0] else (0, 1)
        line += self.text.count("\n", start, offset)
        self._counted = (offset, line)
        return line

    def error(self, offset: int, problem: str) -> ParseError:
        """`file:line:column: problem`, and below it the line with a mark under the column."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        shown, mark = _around(self.text[start : end if end >= 0 else len(self.text)], offset - start)
        place = f"{self.filename}:{self.line(offset)}:{offset - start + 1}"
        return ParseError(f"{place}: {problem}\n    {shown}\n    {' ' * mark}^")


def _around(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, fit to be printed, and the column in that part."""
    start = max(0, column - _SHOWN // 2)
    part = line[start : start + _SHOWN]
    return printable(part), len(printable(part[: column - start]))


# Only single characters repeat without bound: groups that repeat cost the matcher memory for each round.
_TOKEN = re.compile(
    r"""
    [ \t\n\v\f]*
    (?: ([A-Za-z_][A-Za-z0-9_]*)
      | (\.?[0-9][A-Za-z0-9_.]*(?:(?<=[eE])[+-][A-Za-z0-9_.]*)?)  # looked at more closely when it is read
      | ("[^"\\\n\0]*|'[^'\\\n\0]*)                              # up to the quote, or to an escape
      | ([{}<>:;,\[\]-])
      | (\#[^\n]*)
      | (\Z)
      | (.)
    )""",
    re.VERBOSE,
)
_MORE = {'"': re.compile(r'\\.[^"\\\n\0]*'), "'": re.compile(r"\\.[^'\\\n\0]*")}


class Tokens:
    """One token at a time: `kind`, `value` as written (strings with their quotes) and `start`, its offset."""

    def __init__(self, source: PositionedText) -> None:
        self.source = source
        self.kind = END
        self.value = ""
        self.start = 0
        self._end = 0
        self.advance()

    def advance(self) -> None:
        """Goes on to the next token; behind the last one there is END for ever."""
        while match := _TOKEN.match(self.source.text, self._end):
            self._end = match.end()
            kind = match.lastindex or END
            if kind != COMMENT:
                self.kind, self.value, self.start = kind, match[kind], match.start(kind)
                break
        if self.kind == STRING:
            self._finish_string()
        elif self.kind == OTHER:
            self._refuse()

    def _finish_string(self) -> None:
        """Takes the escapes and the closing quote of a string."""
        text, quote, end = self.source.text, self.value[0], self._end
        more = _MORE[quote]
        while match := more.match(text, end):
            end = match.end()
        if not text.startswith(quote, end):
            raise self.source.error(self.start, f"a string that does not end on its line; expected a closing {quote}.")
        self._end = end + 1
        self.value = text[self.start : self._end]

    def _refuse(self) -> None:
        character = self.value
        if "\udc80" <= character <= "\udcff":
            problem = "a byte that is not UTF-8 text; is this a text file?"
        elif not character.isprintable() and character.isascii():
            problem = f"a control character (code {ord(character)}); is this a text file?"
        else:
            shown = character if character.isprintable() else ""
            problem = f'unexpected character "{shown}" (U+{ord(character):04X}){_instead_of(character)}'
        raise self.source.error(self.start, problem)

    def described(self) -> str:
        """The present token, for an error message."""
        if self.kind == END:
            return "the end of the text"
        return short(self.value) if self.kind == STRING else f'"{short(self.value)}"'


_INSTEAD = {"/": 'comments begin with "#"', "=": 'a ":" goes between a name and its value'}


def _instead_of(character: str) -> str:
    """The end of the sentence: what to write instead of a character, if that is plain, as for `：`."""
    plain = unicodedata.normalize("NFKC", character).strip() or "a space"
    quote = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}.get(character)
    if character in _INSTEAD:
        return f"; {_INSTEAD[character]}."
    if quote:
        return f"; write a straight quote, {quote}."
    return f"; write {plain}." if plain != character and plain.isascii() else "."
