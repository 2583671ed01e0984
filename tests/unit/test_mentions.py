from __future__ import annotations

import pytest

from actors.mentions import MAX_MENTIONS, mentioned_handles


@pytest.mark.parametrize(
    ("markdown", "handles"),
    [
        ("", ()),
        ("no one", ()),
        ("@bob", ("bob",)),
        ("thanks @Bob_Lee, and @ana!", ("bob_lee", "ana")),
        ("@ana @bob @ANA", ("ana", "bob")),
        ("**@ana** > [@bob](https://e.example) ~~@cem~~", ("ana", "bob", "cem")),
        ("> @ana\n\n- @bob\n\n# @cem\n\n|@dia|\n|-|\n|@eve|", ("ana", "bob", "cem", "dia", "eve")),
        ("@_under_ @__init__", ("_under_", "__init__")),
        ("谢谢@ana老师，@bobさん", ("ana", "bob")),
        ("(@ana) '@bob's", ("ana", "bob")),
        ("`@ana` ``@bob``", ()),
        ("```\n@ana\n```\n\n    @bob", ()),
        ("mail ana@example.org or <mailto:x@example.org>", ()),
        ("https://m.example/@ana www.m.example/@bob https://m.example?u=@cem", ()),
        ("@ab", ()),
        ("@" + "a" * 30, ("a" * 30,)),
        ("@" + "a" * 31, ()),
        ("@ana@social.example", ()),
        ("@@ana", ()),
        ("\\@ana", ()),
    ],
)
def test_who_is_mentioned(markdown: str, handles: tuple[str, ...]) -> None:
    assert mentioned_handles(markdown) == handles


def test_at_most_twenty() -> None:
    names = [f"name_{number}" for number in range(30)]
    text = " ".join("@" + name for name in names)
    assert mentioned_handles(text) == tuple(names[:MAX_MENTIONS])
