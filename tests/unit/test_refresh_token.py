"""Refresh tokens: their form, their succession, and what is made of one that can't be rotated."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.refresh_token import Judgement, RefreshToken, RefreshTokens, judge
from storage.sessions import Session

SESSION = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
OTHER = UUID("01890a5d-ac96-774b-bcce-b302099a8058")
TOKENS = RefreshTokens("a secret", random=lambda n: b"r" * n)
STRANGER = RefreshTokens("another secret")

FIRST = TOKENS.first(SESSION)
SECOND = TOKENS.successor(FIRST)
THIRD = TOKENS.successor(SECOND)


def test_a_token_is_read_back_as_genuine() -> None:
    assert TOKENS.read(FIRST.text) == FIRST
    assert FIRST.genuine
    assert len(FIRST.text) == 86


def test_the_successor_is_always_the_same_and_another_token() -> None:
    assert TOKENS.successor(FIRST) == SECOND
    assert len({FIRST.text, SECOND.text, THIRD.text}) == 3
    assert {FIRST.session_id, SECOND.session_id, THIRD.session_id} == {SESSION}


def test_successors_depend_on_the_secret_and_first_tokens_on_chance() -> None:
    assert STRANGER.successor(FIRST).text != SECOND.text
    assert STRANGER.first(SESSION).text != STRANGER.first(SESSION).text


def test_invented_tokens_are_not_genuine() -> None:
    invented = STRANGER.first(SESSION)
    read = TOKENS.read(invented.text)
    assert read is not None
    assert (read.session_id, read.genuine) == (SESSION, False)


@pytest.mark.parametrize(
    "text", ["", "a", "!" * 86, "ä" * 86, FIRST.text[:-1], FIRST.text + "A", FIRST.text[:-1] + "="]
)
def test_other_text_is_no_token(text: str) -> None:
    assert TOKENS.read(text) is None


def test_a_second_spelling_of_the_same_bytes_is_not_genuine() -> None:
    # The last character carries four bits that decode to nothing.
    other = next(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != FIRST.text[-1])
    read = TOKENS.read(FIRST.text[:-1] + other)
    assert read is None or not read.genuine


def test_the_text_is_not_shown_in_logs() -> None:
    assert FIRST.text not in repr(FIRST)


def session(newest: RefreshToken, previous: RefreshToken | None, **changes: object) -> Session:
    values: dict[str, object] = {
        "account_id": OTHER,
        "token_hash": newest.hash,
        "previous_hash": None if previous is None else previous.hash,
        "rotated_seconds": 10.0,
        "live": True,
    }
    return Session(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "token", "expected"),
    [
        (None, FIRST, "unknown"),
        (session(SECOND, FIRST), FIRST, "repeated"),
        (session(SECOND, FIRST, rotated_seconds=30.0), FIRST, "repeated"),
        (session(SECOND, FIRST, rotated_seconds=30.1), FIRST, "reused"),
        (session(THIRD, SECOND), FIRST, "reused"),
        (session(THIRD, SECOND, live=False), FIRST, "over"),
        (session(SECOND, FIRST, live=False), FIRST, "over"),
        (session(FIRST, None), FIRST, "over"),  # not rotated: its account may not act
        (session(FIRST, None), TOKENS.read(STRANGER.first(SESSION).text), "unknown"),
        (session(FIRST, None, live=False), TOKENS.read(STRANGER.first(SESSION).text), "unknown"),
        # Made with a secret that was changed since: nobody's fault within the grace.
        (session(STRANGER.successor(FIRST), FIRST), FIRST, "unknown"),
    ],
)
def test_judgement(state: Session | None, token: RefreshToken, expected: Judgement) -> None:
    assert judge(state, token, TOKENS.successor(token), 30.0) == expected
