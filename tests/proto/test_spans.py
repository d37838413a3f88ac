"""Where fields stand in a text, and changing texts that keep their comments."""

from __future__ import annotations

import pytest

from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto.spans import Edits, Span, spans_of
from pycaffe_lite.proto.tokens import PositionedText

TEXT = """# head
name: "a" "b"  # two pieces

# above
layer { name: 'x' dim: -1 list: [1, -2], inner < a: inf > }
# between
layer: {
  type: "T"   # kind
  include { phase: TEST } top: "y"
}
"""


def shown(spans: list[Span]) -> list[tuple[str, str]]:
    return [(span.name, TEXT[span.start : span.end]) for span in spans]


def test_fields_and_what_is_in_them() -> None:
    spans = spans_of(PositionedText(TEXT, "f"))
    assert [span.name for span in spans] == ["name", "layer", "layer"]
    assert TEXT[spans[0].start : spans[0].end] == 'name: "a" "b"'
    assert TEXT[spans[1].start : spans[1].end].endswith("inf > }")
    assert shown(spans[1].fields) == [
        ("name", "name: 'x'"),
        ("dim", "dim: -1"),
        ("list", "list: [1, -2]"),
        ("inner", "inner < a: inf >"),
    ]
    assert shown(spans[1].fields[2].fields) == [("", "1"), ("", "-2")]
    assert shown(list(spans[2].named("include", "top"))) == [
        ("include", "include { phase: TEST }"),
        ("top", 'top: "y"'),
    ]


def edited(comments: bool, *path: tuple[int, ...]) -> str:
    edits = Edits(TEXT)
    for first, *rest in path:
        span = spans_of(PositionedText(TEXT, "f"))[first]
        for index in rest:
            span = span.fields[index]
        edits.remove(span, comments)
    return edits.result()


def test_a_field_goes_with_its_line_and_the_comment_on_it() -> None:
    assert edited(False, (0,)) == TEXT.replace('name: "a" "b"  # two pieces\n', "")
    assert edited(False, (2, 0)) == TEXT.replace('  type: "T"   # kind\n', "")


def test_comments_above_go_if_they_should() -> None:
    assert edited(True, (1,)) == TEXT.replace("# above\n" + TEXT.splitlines()[4] + "\n", "")
    assert edited(True, (0,)).startswith("# head\n")


def test_a_field_among_others_leaves_the_line() -> None:
    assert edited(False, (2, 1)) == TEXT.replace("include { phase: TEST } ", "")
    assert edited(False, (2, 2)) == TEXT.replace(' top: "y"', "")


def test_an_edit_within_another_is_lost_with_it() -> None:
    assert edited(False, (2, 0), (2,)) == TEXT[: TEXT.index("layer: {")]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a {", "f:1:3: this bracket is never closed."), ("a: 1 }", "f:1:6: expected a field's name"),
     ("a:", "f:1:3: expected a value"), ("a [ 1", "f:1:3: this bracket is never closed."),
     ("1: 2", "f:1:1: expected a f"),
     ("a { b: } c: 1", "f:1:3: this bracket is never closed.")],
)  # fmt: skip
def test_what_is_no_prototxt(text: str, place: str) -> None:
    with pytest.raises(ParseError) as problem:
        spans_of(PositionedText(text, "f"))
    assert str(problem.value).startswith(place)
