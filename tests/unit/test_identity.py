from __future__ import annotations

import os
import time
from uuid import UUID, uuid4

import pytest

from storage.identity import (
    MAX_TIME_MS,
    country_of,
    is_v7,
    lowest_id_at,
    new_id,
    parse_id,
    time_ms_of,
)

ID = "0189abcd-0000-7114-8000-000000000000"


def test_layout_is_the_one_of_rfc_9562() -> None:
    id = new_id(276, at_ms=0x0123456789AB)
    text = str(id)
    assert text.startswith("01234567-89ab-7114-")  # 276 is 0x114
    assert text[19] in "89ab"
    assert id.version == 7
    assert id.variant == "specified in RFC 4122"


def test_new_ids_carry_the_present_time() -> None:
    before = time.time_ns() // 1_000_000
    id = new_id(0)
    assert before <= time_ms_of(id) <= time.time_ns() // 1_000_000
    assert country_of(id) == 0


def test_no_two_ids_of_one_millisecond_are_equal() -> None:
    assert len({new_id(4, at_ms=1) for _ in range(5_000)}) == 5_000


@pytest.mark.parametrize(("country", "at_ms"), [(-1, 0), (4096, 0), (0, -1), (0, MAX_TIME_MS + 1)])
def test_what_does_not_fit_is_refused(country: int, at_ms: int) -> None:
    with pytest.raises(ValueError, match=r"outside|fit"):
        new_id(country, at_ms)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "9b2c1f0e-5d1a-4c6e-8f6b-2a7d3c4e5f60",  # of version 4
        ID.upper() + "A",
        ID.replace("-", ""),
        "{" + ID + "}",
        " " + ID,
        ID + "\n",
        "0189ABCD-0000-7114-8000-000000000000",
        "0189abcd-0000-7114-c000-000000000000",
        "\u0660189abcd-0000-7114-8000-00000000000",
    ],
)
def test_only_canonical_text_is_an_id(text: str) -> None:
    with pytest.raises(ValueError, match="canonical"):
        parse_id(text)


def test_other_versions_are_recognised() -> None:
    assert is_v7(lowest_id_at(0))
    assert not is_v7(uuid4())
    assert not is_v7(UUID(int=0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    new_id(0)  # the pool now holds words that the child inherits
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_id(0, at_ms=1).bytes)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        theirs = UUID(bytes=pipe.read())
    assert theirs != new_id(0, at_ms=1)
