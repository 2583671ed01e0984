from __future__ import annotations

import pytest

from actors.access_token import sign
from actors.messages import Caller
from config.errors import AppError
from serve_app.gateway import verified_tokens
from serve_app.gateway.verified_tokens import VerifiedTokens
from storage.identity import new_id

SECRET = "a secret of more than thirty-two characters"


def member() -> Caller:
    return Caller(new_id(0), "ana", "Ana", "member", new_id(0))


def test_a_good_token_is_known_until_it_expires() -> None:
    now = 1_000.0
    tokens = VerifiedTokens(SECRET, lambda: now)
    caller = member()
    token = sign(caller, SECRET, now, 60)
    assert tokens.verify(token) == tokens.verify(token) == (caller, 1_060.0)
    now = 1_061.0
    with pytest.raises(AppError) as refused:
        tokens.verify(token)
    assert refused.value.code == "token_expired"


def test_bad_tokens_are_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = VerifiedTokens(SECRET, lambda: 1_000.0)
    forged = sign(member(), "another secret of thirty-two characters", 1_000.0, 60)
    for _ in range(2):
        with pytest.raises(AppError) as refused:
            tokens.verify(forged)
        assert refused.value.code == "unauthenticated"


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_tokens, "_MAX_TOKENS", 2)
    tokens = VerifiedTokens(SECRET, lambda: 1_000.0)
    callers = [member() for _ in range(4)]
    signed = [sign(caller, SECRET, 1_000.0, 60) for caller in callers]
    assert [tokens.verify(token)[0] for token in signed] == callers
    assert len(tokens._good) == 2
    assert tokens.verify(signed[0])[0] == callers[0]
