"""What counts as the text of a page, when a page is fresh, and where a change is told."""

from __future__ import annotations

import datetime as dt

import pytest

from actors.links.announcing import places_of
from actors.links.freshness import freshness
from actors.links.page_text import content_hash, page_text
from config.settings import OfficialLinks
from storage.official_links import ChangedLink

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Fee:  <b>75</b>\n euro</p>", "Fee: 75 euro"),
        ("<title>x</title><head><title>y</title></head><body>z", "x z"),
        ("<script>var token = '1'</script>a<style>b{}</style><noscript>c</noscript>", "a"),
        ("<nav>Menu</nav><main>Fee &euro;75</main><footer>2026</footer>", "Fee €75"),
        ("<main> </main>Only this", "Only this"),
        ("<!-- build 7 -->a<!doctype html>", "a"),
        ("<svg><text>x</text></svg>a", "a"),
        ("<head><noscript>x</head><body>a</body>", "a"),
        ("a < b & c", "a < b & c"),
        ("", ""),
        ("<main><main>a</main>b</main>c", "a b"),
    ],
)
def test_the_words_count(html: str, text: str) -> None:
    assert page_text(html) == text


def test_the_hash_is_of_words_or_else_of_bytes() -> None:
    one = content_hash("text/html; charset=utf-8", b"<p class=a>f\xc3\xbcr</p>")
    assert one == content_hash("text/html; charset=latin-1", b"<div>f\xfcr </div>")
    assert one == content_hash("", b"<p>f\xc3\xbcr")
    assert one != content_hash("text/html; charset=utf-8", b"<p>fur</p>")
    assert content_hash("text/html; charset=none-such", b"<p>f\xc3\xbcr</p>") == one
    assert content_hash("application/pdf", b"<p>a") != content_hash("application/pdf", b"<b>a")


def test_fresh_is_what_answered_lately() -> None:
    rule = OfficialLinks(stale_after_days=14)
    old = NOW - dt.timedelta(days=14)
    assert freshness("ok", old, NOW, rule) == "fresh"
    assert freshness("ok", old - dt.timedelta(seconds=1), NOW, rule) == "stale"
    for status in ("unchecked", "missing", "refused", "failed"):
        assert freshness(status, NOW, NOW, rule) == "stale"
    assert freshness("ok", None, NOW, rule) == "stale"


def test_a_change_is_told_where_it_matters() -> None:
    places = [
        (276, "student", "Student visa"), (276, "student", "A guide"), (276, "student", "A guide"),
        (250, "student", "Étudiant"), (250, "work", "Work"),
        (756, None, "Switzerland"), (756, "b-permit", "B permit"),
    ]  # fmt: skip
    link = ChangedLink(1, "https://example.org/", NOW, list(places))
    assert places_of(link) == [
        ("de-student", ["Student visa", "A guide"]),
        ("fr", ["Étudiant", "Work"]),
        ("ch", ["Switzerland", "B permit"]),
    ]
