"""The words of a prototxt: names, numbers, strings and symbols, each with its offset."""

from __future__ import annotations

import re

from pycaffe_lite.proto.source import Source, short

NAME, NUMBER, STRING, SYMBOL, COMMENT, END, OTHER = range(1, 8)

_TOKEN = re.compile(
    r"""
    [ \t\n\v\f]*
    (?: ([A-Za-z_][A-Za-z0-9_]*)  # NAME
      | (\.?[0-9] (?: [eE][+-] | [A-Za-z0-9_.] )*)  # NUMBER, to be looked at more closely when read
      | ("[^"\\\n\0]*(?:\\.[^"\\\n\0]*)*" | '[^'\\\n\0]*(?:\\.[^'\\\n\0]*)*')
      | ([{}<>:;,\[\]-])
      | (\#[^\n]*)
      | (\Z)
      | (.)
    )""",
    re.VERBOSE,
)


class Tokens:
    """One token at a time: `kind`, `value` as written (strings with their quotes) and `start`, its offset."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._matches = _TOKEN.finditer(source.text)
        self.kind = END
        self.value = ""
        self.start = 0
        self.advance()

    def advance(self) -> None:
        """Goes on to the next token; behind the last one there is END for ever."""
        for match in self._matches:
            kind = match.lastindex or END
            if kind != COMMENT:
                self.kind, self.value, self.start = kind, match[kind], match.start(kind)
                if kind == OTHER:
                    self._refuse()
                return

    def _refuse(self) -> None:
        character = self.value
        if character in "\"'":
            problem = f"a string that does not end on its line; expected a closing {character}."
        elif "\udc80" <= character <= "\udcff":
            problem = "a byte that is not UTF-8 text; is this a text file?"
        elif not character.isprintable():
            problem = f"a control character (code {ord(character)}); is this a text file?"
        else:
            problem = f'unexpected character "{character}".'
        raise self.source.error(self.start, problem)

    def described(self) -> str:
        """The present token, for an error message."""
        if self.kind == END:
            return "the end of the text"
        return short(self.value) if self.kind == STRING else f'"{short(self.value)}"'
