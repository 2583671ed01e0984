from __future__ import annotations

from actors.plain_blocks import PlainBlock, plain_blocks


def test_blocks_are_what_a_reader_sees_as_one() -> None:
    markdown = (
        "## Fees\nThe **visa** costs\n[EUR 75](https://example.org/x).\n\n"
        "- one\n- two\n  - three\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```\ncode  here\n```\n<b>raw</b> @some_one"
    )
    assert plain_blocks(markdown) == [
        PlainBlock("Fees", True),
        PlainBlock("The visa costs EUR 75.", False),
        PlainBlock("one\ntwo\nthree", False),
        PlainBlock("a | b |\n1 | 2 |", False),
        PlainBlock("code here", False),
        PlainBlock("<b>raw</b> @some_one", False),
    ]


def test_nothing_visible_is_no_block() -> None:
    assert plain_blocks("") == plain_blocks("\n \n---\n") == []
