"""Protobuf's binary form: numbers and heads, written and read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite.formats.wire import Malformed, head, read_varint, varint


@given(st.integers(0, 2**70))
def test_varints(value: int) -> None:
    groups = list(varint(value))
    assert sum((group & 0x7F) << (7 * i) for i, group in enumerate(groups)) == value
    assert [group >> 7 for group in groups] == [1] * (len(groups) - 1) + [0]
    assert len(groups) == max(1, -(-value.bit_length() // 7))


@given(st.integers(1, 2**29 - 1), st.integers(0, 2**31))
def test_heads(number: int, length: int) -> None:
    assert head(number, length) == varint(number * 8 + 2) + varint(length)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_varints_come_back(value: int, after: bytes) -> None:
    data = b"?" + varint(value) + after
    assert read_varint(data, 1, len(data)) == (value, len(data) - len(after))


@pytest.mark.parametrize(("data", "truncated"), [(b"\xff" * 9, True), (b"", True), (b"\xff" * 11, False)])
def test_what_is_no_varint(data: bytes, truncated: bool) -> None:
    with pytest.raises(Malformed) as caught:
        read_varint(data, 0, len(data))
    assert caught.value.truncated == truncated
