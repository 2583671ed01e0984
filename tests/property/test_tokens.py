"""Nothing that a client can send as a token or a form makes the readers of it fall over."""

from __future__ import annotations

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.access_token import sign, verify
from actors.messages import Caller
from actors.refresh_token import RefreshTokens
from actors.registration import faults
from config.errors import AppError

SECRET = "a secret"
NOW = 1_800_000_000.0
TOKENS = RefreshTokens(SECRET)
TOKEN = sign(Caller(UUID(int=1), "mina", "Mina", "member", UUID(int=2)), SECRET, NOW, 900)
BASE64URL = string.ascii_letters + string.digits + "-_."

anything = st.text(alphabet=st.characters(), max_size=300)  # lone surrogates included
lookalikes = st.text(alphabet=BASE64URL, max_size=300)


@given(anything | lookalikes | st.integers(0, len(TOKEN) - 1).map(lambda n: TOKEN[:n]))
def test_only_signed_tokens_verify(text: str) -> None:
    with pytest.raises(AppError) as caught:
        verify(text, SECRET, NOW)
    assert caught.value.code == "unauthenticated"


@given(
    st.uuids(),
    st.uuids(),
    st.text(max_size=60),
    st.sampled_from(["member", "moderator", "admin"]),
    st.integers(1, 10**6),
)
def test_what_is_signed_comes_back(
    account: UUID, session: UUID, name: str, role: str, ttl: int
) -> None:
    caller = Caller(account, "mina", name, role, session)  # type: ignore[arg-type]
    assert verify(sign(caller, SECRET, NOW, ttl), SECRET, NOW) == (caller, NOW + ttl)


@given(anything | st.text(alphabet=BASE64URL, min_size=86, max_size=86))
def test_no_text_is_a_genuine_refresh_token(text: str) -> None:
    token = TOKENS.read(text)
    assert token is None or not token.genuine


@given(st.uuids(), st.integers(0, 5))
def test_every_token_of_a_family_is_genuine_and_different(session: UUID, generations: int) -> None:
    token = TOKENS.first(session)
    family = [token]
    for _ in range(generations):
        token = TOKENS.successor(token)
        family.append(token)
    assert [TOKENS.read(member.text) for member in family] == family
    assert len({member.hash for member in family}) == len(family)


@given(anything, anything, anything, st.lists(anything, max_size=20))
def test_accepted_registrations_can_be_stored(
    handle: str, email: str, password: str, languages: list[str]
) -> None:
    bad = {path.split("[")[0] for path, _ in faults(handle, email, password, languages)}
    for path, texts in (
        ("handle", [handle]),
        ("email", [email]),
        ("password", [password]),
        ("languages", languages),
    ):
        if path not in bad:
            for text in texts:
                text.encode()
                assert path == "password" or "\x00" not in text
