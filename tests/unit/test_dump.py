"""Lines of a dump: what is refused and why, ids, and where comments attach."""

from __future__ import annotations

import json
import random
import re
from typing import Any
from uuid import UUID

import pytest

from serve_app.dump import MAX_DEPTH, Refused, parse_account, parse_thread, place_thread
from storage.identity import country_of, is_v7, new_id, time_ms_of
from storage.importing import PostToImport

COMMUNITY = UUID(int=1)
AUTHORS = {"ada": UUID(int=2), "ben": UUID(int=3)}
AT_MS = 1_780_000_000_123
AT = "2026-05-28T20:26:40.123Z"


def account(**changes: Any) -> bytes:
    line = {"handle": "ada", "display_name": "Ada", "languages": ["en"], "joined_at": "2025-05-03"}
    return json.dumps(line | changes).encode()


def comment(id: str, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    line = {
        "id": id, "parent": parent, "author": "ben", "language": "en", "body_markdown": f"**{id}**",
        "created_at": AT, "up": 3, "down": 1,
    }  # fmt: skip
    return line | changes


def thread(*comments: Any, **changes: Any) -> bytes:
    line = {
        "id": "t1", "country": "DE", "visa_type": "student", "group": None, "author": "ada",
        "language": "en", "title": "A title", "body_markdown": "*Text*", "tags": ["A", "a"],
        "created_at": AT, "up": 5, "down": 2, "accepted_comment": None, "comments": list(comments),
    }  # fmt: skip
    return json.dumps(line | changes).encode()


def placed(line: bytes) -> tuple[PostToImport, list[str]]:
    return place_thread(parse_thread(line), COMMUNITY, AUTHORS)


def test_an_account_keeps_its_name_and_day() -> None:
    ada = parse_account(account())
    assert (ada.handle, ada.reference, ada.languages) == ("ada", "ada", ("en",))
    assert ada.created_at.isoformat() == "2025-05-03T00:00:00+00:00"
    assert is_v7(ada.id)
    assert parse_account(account()) == ada
    assert parse_account(account(joined_at="2025-05-04")).id != ada.id
    odd = parse_account(account(handle="Leah.M"))
    assert (odd.handle, odd.reference) == ("leah_m", "Leah.M")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"handle": "a"}, "handle"),
        ({"handle": "x" * 31}, "handle"),
        ({"handle": "a\0bc"}, "handle: holds a NUL"),
        ({"display_name": "\0"}, "display_name: holds a NUL"),
        ({"display_name": 5}, r"\$.display_name"),
        ({"languages": ["no language!"]}, r"\$.languages"),
        ({"joined_at": "yesterday"}, r"\$.joined_at"),
        ({"joined_at": "1969-12-31"}, "joined_at: lies before 1970"),
    ],
)
def test_bad_accounts_are_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse_account(account(**changes))


def test_a_thread_becomes_rows() -> None:
    post, problems = placed(thread(comment("c1"), comment("c2", "c1"), accepted_comment="c2"))
    assert problems == []
    assert (country_of(post.id), time_ms_of(post.id)) == (276, AT_MS)
    assert (post.up, post.down, post.visa_type, post.tags) == (5, 2, "student", ("a",))
    assert "<em>Text</em>" in post.body_html
    first, second = post.comments
    assert (first.parent_id, first.depth) == (None, 0)
    assert (second.parent_id, second.depth, second.up, second.down) == (first.id, 1, 3, 1)
    assert "<strong>c2</strong>" in second.body_html
    assert post.accepted_comment_id == second.id
    assert {country_of(row.id) for row in post.comments} == {276}


def test_ids_follow_from_the_line_alone() -> None:
    post, _ = placed(thread(comment("c1")))
    again, _ = placed(thread(comment("c1", body_markdown="edited"), title="Another title"))
    assert (again.id, again.comments[0].id) == (post.id, post.comments[0].id)
    other, _ = placed(thread(comment("c1"), id="t2"))
    assert other.id != post.id
    assert other.comments[0].id != post.comments[0].id


def test_the_order_of_comments_does_not_matter() -> None:
    lines = [comment("c0")]
    order = random.Random(1)
    for n in range(1, 60):
        lines.append(comment(f"c{n}", order.choice(lines)["id"]))
    straight, _ = placed(thread(*lines))
    order.shuffle(lines)
    shuffled, problems = placed(thread(*lines))
    assert problems == []
    assert len(straight.comments) == 60
    assert sorted(shuffled.comments, key=lambda c: c.id) == sorted(
        straight.comments, key=lambda c: c.id
    )
    seen: set[UUID] = set()
    for row in shuffled.comments:
        assert row.parent_id is None or row.parent_id in seen
        seen.add(row.id)


def test_deep_replies_attach_where_those_of_members_do() -> None:
    lines = [comment("c0")]
    lines += [comment(f"c{n}", f"c{n - 1}") for n in range(1, 16)]
    post, _ = placed(thread(*lines))
    rows = post.comments
    assert [row.depth for row in rows] == [*range(MAX_DEPTH + 1), 12, 12, 12]
    assert rows[12].parent_id == rows[11].id
    assert {row.parent_id for row in rows[12:]} == {rows[11].id}


def test_groups_get_a_slug() -> None:
    draft = parse_thread(thread(country=None, visa_type=None, group="Study Abroad -- chat!"))
    assert (draft.place.group, draft.place.group_name) == ("study-abroad-chat", "Study abroad chat")
    assert country_of(draft.id) == 0
    ignored = parse_thread(thread(group="winter-2026"))
    assert (ignored.place.country_id, ignored.place.group) == (276, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff", "malformed|invalid"),
        (thread(title=7), r"\$.title"),
        (thread(title="xx"), r"\$.title"),
        (thread(title="x" * 301), r"\$.title"),
        (thread(body_markdown="x" * 40_001), r"\$.body_markdown"),
        (thread(body_markdown="a\0"), "body_markdown: holds a NUL"),
        (thread(tags=["\0"]), "tags: holds a NUL"),
        (thread(id="\0"), "id: holds a NUL"),
        (thread(country="XX"), "country"),
        (thread(country="de"), "country"),
        (thread(country=None), "visa_type: there is none without a country"),
        (thread(country=None, visa_type=None), "no group"),
        (thread(country=None, visa_type=None, group="!!"), "group"),
        (thread(created_at="2026-07-03T15:26:00"), r"\$.created_at"),
        (thread(created_at="1960-07-03T15:26:00Z"), "created_at: lies before 1970"),
        (thread(up=-1), r"\$.up"),
        (thread(up=2**31), r"\$.up"),
        (thread(up=True), r"\$.up"),
        (thread(language="?"), r"\$.language"),
        (thread(comments={}), r"\$.comments"),
        (b"[" * 100_000, "recursion|depth|Expected"),
    ],
)
def test_bad_threads_are_refused_with_the_reason(line: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse_thread(line)


def test_an_unknown_author_takes_the_thread_along() -> None:
    with pytest.raises(Refused, match="author: no imported account 'eve'"):
        placed(thread(author="eve"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (5, "Expected `object`"),
        (comment("bad", author="eve"), "author: no imported account 'eve'"),
        (comment("bad", parent="none"), "parent: 'none' is missing"),
        (comment("bad", parent="bad"), "parent: 'bad' is missing"),
        (comment("good"), "id: there is another"),
        (comment("bad", body_markdown="x" * 10_001), "Expected `str` of length <= 10000"),
        (comment("bad", body_markdown=""), "Expected `str` of length >= 1"),
        (comment("bad", body_markdown="\0"), "body_markdown: holds a NUL"),
        (comment("bad", created_at="1960-01-01T00:00:00Z"), "created_at: lies before 1970"),
        (comment("bad", up="3"), r"Expected `int`, got `str` - at `\$.up`"),
    ],
)
def test_a_bad_comment_is_left_out_with_its_replies_alone(bad: object, reason: str) -> None:
    post, problems = placed(
        thread(comment("good"), bad, comment("below", "bad"), comment("last", "good"))
    )
    assert [row.reference for row in post.comments if row.reference != "below"] == ["good", "last"]
    [problem] = [problem for problem in problems if problem.startswith("comments[1]")]
    assert re.search(reason, problem)


def test_an_accepted_comment_that_is_missing_is_reported() -> None:
    post, problems = placed(thread(comment("c1"), accepted_comment="c9"))
    assert post.accepted_comment_id is None
    assert problems == ["accepted_comment: no comment 'c9', the thread has none now"]


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Refused):
        parse_thread(thread(title="half \ud83d of it"))


def test_ids_of_members_and_of_dumps_have_one_form() -> None:
    post, _ = placed(thread())
    assert is_v7(post.id)
    assert str(post.id)[14:18] == str(new_id(276, AT_MS))[14:18]
