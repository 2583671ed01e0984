"""Spam and foreign languages as numbers."""

from __future__ import annotations

from ai.signals.spam import Writing, score_language, score_off_topic, score_spam

OLD = 24.0 * 365
HONEST = (
    "I handed in my documents in Mumbai on 3 May, the passport came back on 2 July with the visa."
    " The consulate asked for one more bank statement in between, see https://example.org/list ."
)


def test_an_honest_text_of_a_known_member_has_no_score() -> None:
    assert score_spam(Writing(HONEST, OLD)) == (0.0, ())


def test_what_speaks_for_spam() -> None:
    links = "Look https://a.example https://b.example https://c.example"
    assert score_spam(Writing(links, OLD)).reasons == ("links",)
    assert set(score_spam(Writing(links, 2.0)).reasons) == {"links", "new_account_links"}
    assert score_spam(Writing(HONEST, OLD, copies=1)) == (0.6, ("copies",))
    assert score_spam(Writing(HONEST, OLD, copies=9)).value == 0.85
    assert score_spam(Writing("BUY THE BEST VISA PHOTOS HERE AND NOW", OLD)).reasons == (
        "shouting",
    )
    assert score_spam(Writing("visa photo " * 20, OLD)).reasons == ("repetition",)
    assert score_spam(Writing("wow!!!!!!!!!!", OLD)).reasons == ("repetition",)
    worst = score_spam(Writing(f"{links} VISA VISA VISA VISA VISA!!!!!!!", 0.5, copies=4))
    assert 0.9 < worst.value <= 1.0


def test_scripts_without_capitals_never_shout() -> None:
    assert score_spam(Writing("मेरा वीज़ा दो महीने में आया और पासपोर्ट डाक से मिला", OLD)).value == 0.0


def test_a_language_is_foreign_where_hardly_anybody_writes_it() -> None:
    assert score_language(0, 19) == (0.0, ())
    assert score_language(0, 100) == (0.4, ("rare_language",))
    assert score_language(2, 100).value == 0.24
    assert score_language(5, 100).value == 0.0


def test_what_is_far_from_its_community_is_off_topic() -> None:
    assert score_off_topic(0.30, 0.10, 0.02, 19) == (0.0, ())
    assert score_off_topic(0.13, 0.10, 0.02, 40) == (0.0, ())
    assert score_off_topic(0.16, 0.10, 0.02, 40) == (0.429, ("unlike_others",))
    assert score_off_topic(0.30, 0.10, 0.02, 40).value == 1.0
    assert score_off_topic(0.30, 0.10, 0.0, 40).value == 0.0
