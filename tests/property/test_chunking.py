from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai.chunking import MAX_CHUNKS, MAX_SIZE, Block, chunks, sentences, size

pieces = st.sampled_from(
    [
        "visa ",
        "Visum. ",
        "签证多少钱？",
        "कितना? ",
        "कितने पैसे।",
        "كم؟ ",
        "\n",
        "a" * 50,
        ". ",
        "…",
        "ありがとう。",
    ]
)
texts = st.one_of(st.text(max_size=200), st.lists(pieces, max_size=40).map("".join))
blocks = st.lists(st.builds(Block, texts, st.booleans()), max_size=12)


def letters(*texts: str) -> str:
    return "".join("".join(texts).split())


@given(blocks, st.integers(10, 400))
def test_nothing_is_lost_and_every_chunk_is_bounded(given_blocks: list[Block], bound: int) -> None:
    found = chunks(given_blocks, bound)
    assert all(0 < size(chunk) <= bound for chunk in found)
    whole = letters(*(block.text for block in given_blocks))
    got = letters(*found)
    assert got == whole or (len(found) == MAX_CHUNKS and whole.startswith(got))


@given(texts)
def test_sentences_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("It costs EUR 37.50. Really? Yes!", ["37.50.", "Really?", "Yes!"]),
        (
            "签证要多少钱？七十五欧元。“真的？”是。",
            ["多少钱？", "七十五欧元。", "“真的？”", "是。"],
        ),
        ("वीज़ा की फीस क्या है? यह 75 यूरो है। ठीक।", ["है?", "है।", "ठीक।"]),
        ("كم الرسوم؟ خمسة وسبعون يورو.", ["الرسوم؟", "يورو."]),
        ("ویزا کی فیس؟ ۷۵ یورو۔ شکریہ", ["فیس؟", "یورو۔", "شکریہ"]),
    ],
)
def test_sentences_end_as_each_script_ends_them(text: str, ends: list[str]) -> None:
    found = [sentence.strip() for sentence in sentences(text)]
    assert len(found) == len(ends)
    assert all(sentence.endswith(end) for sentence, end in zip(found, ends, strict=True))


def test_a_long_text_without_spaces_or_stops_is_cut_where_it_must_be() -> None:
    thai = "วีซ่านักเรียน" * 200
    found = chunks([Block(thai)])
    assert letters(*found) == thai
    assert 3 <= len(found) <= 10


def test_hostile_runs_of_stops_take_no_time_to_speak_of() -> None:
    assert chunks([Block("." * 40_000 + "?!" * 20_000)])


def test_a_heading_goes_with_what_follows_it() -> None:
    body = "x" * 500
    found = chunks([Block(body), Block("Fees", True), Block("EUR 75. " * 60)])
    assert found[0] == body
    assert found[1].startswith("Fees\n\nEUR 75.")
    short = chunks([Block("A", True), Block("one"), Block("B", True), Block("two")])
    assert short == ["A\n\none\n\nB\n\ntwo"]


def test_a_heading_is_not_left_behind_where_its_text_has_no_room() -> None:
    first, second = chunks([Block("y" * 280), Block("Fees", True), Block("z" * (MAX_SIZE - 100))])
    assert first == "y" * 280
    assert second.startswith("Fees\n\nzzz")
