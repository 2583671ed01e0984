from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from actors import cursors
from actors.cursors import CursorKind, decode_cursor, encode_cursor
from config.errors import AppError

kinds = st.sampled_from(CursorKind)
values = st.tuples(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.uuids()
)
VALUE = tuple[int, float, str, UUID]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(kinds, st.text("abc:-", max_size=30), values)
def test_values_come_back_as_they_were(kind: CursorKind, scope: str, value: object) -> None:
    text = encode_cursor(kind, scope, value)
    assert set(text) <= set(ALPHABET)
    assert decode_cursor(kind, scope, text, VALUE) == value


def outcome(text: str) -> str:
    try:
        decode_cursor(CursorKind.COMMENTS, "s", text, VALUE)
    except AppError as error:
        return error.code
    return "accepted"


@given(values, st.data())
def test_one_changed_character_is_noticed(value: object, data: st.DataObject) -> None:
    text = encode_cursor(CursorKind.COMMENTS, "s", value)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(ALPHABET.replace(text[place], "")))
    assert outcome(text[:place] + other + text[place + 1 :]) == "invalid"


@given(st.one_of(st.text(max_size=200), st.text(ALPHABET, max_size=200)))
def test_no_text_is_answered_by_anything_but_invalid(text: str) -> None:
    assert outcome(text) in ("accepted", "invalid")


@given(st.binary(max_size=80))
def test_no_payload_with_a_right_checksum_is_answered_by_anything_but_invalid(raw: bytes) -> None:
    checksum = cursors._checksum(CursorKind.COMMENTS, "s", raw)
    forged = cursors._text(bytes((CursorKind.COMMENTS,)) + checksum + raw)
    assert outcome(forged) in ("accepted", "invalid")
