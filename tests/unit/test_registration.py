"""What a new account must look like."""

from __future__ import annotations

import msgspec
import pytest

from actors.account_fields import MAX_LANGUAGES
from actors.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from actors.registration import faults
from serve_app.api import fields
from serve_app.api.auth import RegisterBody

GOOD = "long enough"


def paths(
    handle: str = "mina", email: str = "mina@example.org", password: str = GOOD, *languages: str
) -> list[str]:
    return [path for path, _ in faults(handle, email, password, languages)]


@pytest.mark.parametrize("handle", ["abc", "a_1", "___", "0" * 30])
def test_good_handles(handle: str) -> None:
    assert paths(handle) == []


@pytest.mark.parametrize(
    "handle", ["", "ab", "a" * 31, "Mina", "mi na", "mi-na", "minä", "mina\n", "mina\x00", "admin"]
)
def test_bad_handles(handle: str) -> None:
    assert paths(handle) == ["handle"]


@pytest.mark.parametrize(
    "email",
    [
        "a@b.de",
        "first.last+tag@sub.example.co.uk",
        "o'hara@example.org",
        "jörg@bücher.example",
        "x@xn--bcher-kva.example",
        f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 58}.de",
    ],
)
def test_good_addresses(email: str) -> None:
    assert paths(email=email) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "mina",
        "@example.org",
        "mina@",
        "mina@localhost",
        "mina@@example.org",
        "mi na@example.org",
        ".mina@example.org",
        "mina.@example.org",
        "mi..na@example.org",
        "mina@-example.org",
        "mina@example-.org",
        "mina@example..org",
        "mina@example.org.",
        "mina@example.org\n",
        "mina\x00@example.org",
        "mina\ud800@example.org",
        "<mina@example.org>",
        f"{'l' * 65}@example.org",
        f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 59}.de",
    ],
)
def test_bad_addresses(email: str) -> None:
    assert paths(email=email) == ["email"]


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("p" * 9, ["password"]),
        ("p" * 10, []),
        ("\N{SNOWMAN}" * 256, []),
        ("p" * 257, ["password"]),
        ("p" * 10 + "\ud800", ["password"]),
    ],
)
def test_passwords(password: str, expected: list[str]) -> None:
    assert paths(password=password) == expected


def test_languages() -> None:
    assert paths("mina", "a@b.de", GOOD, "de", "pt-BR", "zh-Hant-TW") == []
    assert paths("mina", "a@b.de", GOOD, "de", "", "deutsch!", "d\x00") == [
        "languages[1]",
        "languages[2]",
        "languages[3]",
    ]
    assert paths("mina", "a@b.de", GOOD, *["de"] * (MAX_LANGUAGES + 1)) == ["languages"]


def test_all_faults_are_told_at_once() -> None:
    assert paths("x", "x", "x", "x") == ["handle", "email", "password", "languages[0]"]


TAGS = ["de", "DE", "ast", "pt-BR", "zh-Hant-TW", "de-1996", "de" + 4 * "-abcdefg"]
NO_TAGS = ["", "a", "abcd", "zh-1", "de-", "de\n", "de_DE", "de" + 4 * "-abcdefgh"]


@pytest.mark.parametrize("language", [*TAGS, *NO_TAGS])
def test_the_schema_and_the_actor_agree_about_languages(language: str) -> None:
    in_actor = paths("mina", "a@b.de", GOOD, language) == []
    try:
        msgspec.convert(language, fields.Language)
        in_schema = True
    except msgspec.ValidationError:
        in_schema = False
    assert in_schema == in_actor == (language in TAGS)


@pytest.mark.parametrize("count", [MAX_LANGUAGES, MAX_LANGUAGES + 1])
def test_the_schema_and_the_actor_agree_about_the_number_of_languages(count: int) -> None:
    in_actor = paths("mina", "a@b.de", GOOD, *["de"] * count) == []
    body = {"handle": "mina", "email": "a@b.de", "password": GOOD, "languages": ["de"] * count}
    try:
        msgspec.convert(body, RegisterBody)
        in_schema = True
    except msgspec.ValidationError:
        in_schema = False
    assert in_schema == in_actor == (count == MAX_LANGUAGES)


@pytest.mark.parametrize(
    "length", [MIN_CHARACTERS - 1, MIN_CHARACTERS, MAX_CHARACTERS, MAX_CHARACTERS + 1]
)
def test_the_schema_and_the_actor_agree_about_passwords(length: int) -> None:
    in_actor = paths(password="p" * length) == []
    try:
        msgspec.convert("p" * length, fields.Password)
        in_schema = True
    except msgspec.ValidationError:
        in_schema = False
    assert in_schema == in_actor
