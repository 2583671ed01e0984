"""What a new account must look like."""

from __future__ import annotations

import pytest

from actors.registration import faults

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
    assert paths("mina", "a@b.de", GOOD, *["de"] * 17) == ["languages"]


def test_all_faults_are_told_at_once() -> None:
    assert paths("x", "x", "x", "x") == ["handle", "email", "password", "languages[0]"]
