"""Password hashing: right, wrong, nobody's, outdated, and too many at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from actors.passwords import MAX_CHARACTERS, Passwords, Verdict
from config.errors import AppError


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    cheap = Passwords(threads=1, queue=1, memory_kib=8, passes=1)
    yield cheap
    cheap.close()


async def test_the_right_password_and_only_that_one_matches(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse battery")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify(stored, "correct horse battery") == Verdict(True, False)
    assert await passwords.verify(stored, "correct horse batterz") == Verdict(False, False)


async def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


@pytest.mark.parametrize("stored", [None, "", "md5:0123", "$argon2id$v=19$broken"])
async def test_nobody_has_no_right_password(passwords: Passwords, stored: str | None) -> None:
    assert await passwords.verify(stored, "nobody's password") == Verdict(False, False)


async def test_longer_passwords_than_can_be_set_are_wrong(passwords: Passwords) -> None:
    longest = "p" * MAX_CHARACTERS
    stored = await passwords.hash(longest)
    assert (await passwords.verify(stored, longest)).right
    assert not (await passwords.verify(stored, longest + "p")).right


async def test_composed_and_decomposed_letters_are_one_password(passwords: Passwords) -> None:
    stored = await passwords.hash("caf\N{LATIN SMALL LETTER E WITH ACUTE} noir ...")
    decomposed = "cafe\N{COMBINING ACUTE ACCENT} noir ..."
    assert (await passwords.verify(stored, decomposed)).right


async def test_a_lone_surrogate_is_a_wrong_password(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse battery")
    assert not (await passwords.verify(stored, "\ud800")).right


async def test_hashes_of_other_parameters_are_stale(passwords: Passwords) -> None:
    stronger = Passwords(threads=1, memory_kib=16, passes=1)
    stored = await passwords.hash("correct horse battery")
    assert await stronger.verify(stored, "correct horse battery") == Verdict(True, True)
    assert await stronger.verify(stored, "wrong horse battery") == Verdict(False, False)
    stronger.close()


async def test_more_than_the_queue_holds_are_told_to_come_back(passwords: Passwords) -> None:
    release = threading.Event()
    holding = passwords._executor.submit(release.wait)
    waiting = [asyncio.create_task(passwords.hash(f"password {n}")) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(AppError) as caught:
        await passwords.hash("one too many")
    assert (caught.value.code, caught.value.retry_after_seconds) == ("overloaded", 1.0)

    waiting[1].cancel()
    await asyncio.wait([waiting[1]])
    instead = asyncio.create_task(passwords.hash("in the place of the cancelled one"))
    await asyncio.sleep(0)
    release.set()
    assert (await waiting[0]).startswith("$argon2id$")
    assert (await instead).startswith("$argon2id$")
    assert holding.result()
    assert waiting[1].cancelled()


async def test_closing_fails_those_who_wait(passwords: Passwords) -> None:
    release = threading.Event()
    passwords._executor.submit(release.wait)
    waiting = asyncio.create_task(passwords.hash("a password"))
    await asyncio.sleep(0)
    passwords.close()
    release.set()
    with pytest.raises(AppError) as caught:
        await waiting
    assert caught.value.code == "unavailable"
    with pytest.raises(AppError) as caught:
        await passwords.hash("later")
    assert caught.value.code == "unavailable"
