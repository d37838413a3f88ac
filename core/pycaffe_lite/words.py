"""Words for messages: texts fit to be printed, and the known name that a wrong one may have meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 64


def did_you_mean(name: str, known: Iterable[str], otherwise: str = ".", quote: str = '"') -> str:
    """The end of a sentence that refuses a name, with its full stop: the known name most like it, or `otherwise`."""
    close = nearest(name, known)
    return f"; did you mean {quote}{close}{quote}?" if close else otherwise


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, if any is like it."""
    from difflib import get_close_matches

    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), by_lower, 1, 0.7) if len(name) <= _LONGEST else []
    return by_lower[found[0]] if found else None


def printable(text: str) -> str:
    """The text with tabs as spaces and what has no shape as `?`."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "?" for c in text)


def short(text: str) -> str:
    """A text for an error message: printable, and cut if long."""
    return printable(text if len(text) <= 60 else text[:57] + "...")
