"""The newcomer's path through a fresh server: register, join, post, comment, vote, read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.api_client import PASSWORD, ApiClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
POST = {
    "id", "community_id", "country", "visa_type", "author", "title", "body_markdown", "body_html",
    "language", "tags", "up", "down", "score", "comment_count", "created_at", "edited_at",
    "locked", "pinned", "accepted_comment_id", "deleted",
}  # fmt: skip
COMMENT = {
    "id", "post_id", "parent_id", "depth", "author", "body_markdown", "body_html", "language",
    "up", "down", "score", "created_at", "edited_at", "deleted", "more_children",
}  # fmt: skip
ACCOUNT = {"id", "handle", "display_name"}


def check_stream(stream: dict[str, Any], channel: str) -> None:
    assert set(stream) == {"channel", "epoch", "offset"}
    assert stream["channel"] == channel and stream["epoch"] and stream["offset"] >= 0


async def test_from_nothing_to_a_thread(ada: ApiClient, ben: ApiClient, guest: ApiClient) -> None:
    community = (await guest.get("/communities/de-student")).expect(200)
    assert (community["kind"], community["country"], community["visa_type"]) == (
        "visa",
        "DE",
        "student",
    )
    assert UUID.fullmatch(community["id"]) and isinstance(community["rules"], str)
    check_stream(community["stream"], f"community:{community['id']}")

    joined = await ada.call("PUT", f"/communities/{community['id']}/membership")
    assert joined.expect(200) == {"role": "member"}
    mine = (await ada.get("/communities?joined=true")).expect(200)
    assert [item["slug"] for item in mine["items"]] == ["de-student"]

    body = {
        "community_id": "de-student",
        "title": "  Blocked account:\thow long? ",
        "body_markdown": "**Weeks**? <script>alert(1)</script> [see](https://example.org)",
        "tags": ["money", "money", " bank "],
    }
    made = await ada.call("POST", "/posts", body)
    post = made.expect(201)
    assert set(post) >= POST and UUID.fullmatch(post["id"]) and TIME.fullmatch(post["created_at"])
    assert post["title"] == "Blocked account: how long?" and post["tags"] == ["money", "bank"]
    assert post["community_id"] == community["id"]
    assert (post["country"], post["visa_type"], post["language"]) == ("DE", "student", "en")
    assert set(post["author"]) == ACCOUNT and post["author"]["id"] == ada.id
    assert "<strong>Weeks</strong>" in post["body_html"] and "<script" not in post["body_html"]
    assert "nofollow" in post["body_html"]
    assert (post["edited_at"], post["deleted"], post["accepted_comment_id"]) == (None, False, None)

    first = await ben.comment(post["id"], "Two weeks for me")
    assert set(first) == COMMENT and (first["depth"], first["parent_id"]) == (0, None)
    reply = await ada.comment(post["id"], "Thank you", first["id"])
    assert (reply["depth"], reply["parent_id"]) == (1, first["id"])

    counts = await ada.vote("comment", first["id"], 1)
    assert counts == {"up": 1, "down": 0, "score": 1, "mine": 1}
    assert await ben.vote("post", post["id"], -1) == {"up": 0, "down": 1, "score": -1, "mine": -1}
    assert (await ben.vote("post", post["id"], 1))["score"] == 1
    assert await ben.vote("post", post["id"], 0) == {"up": 0, "down": 0, "score": 0, "mine": 0}
    assert (await ada.vote("comment", first["id"], 1))["score"] == 1
    marks = (await ada.get(f"/me/marks?ids={post['id']},{first['id']}")).expect(200)
    assert [marks[field] for field in ("votes", "saved", "read")] == [{first["id"]: 1}, [], {}]

    position = {"Serai-Position": "f" * 16}
    page = await guest.comments(post["id"], headers=position)
    assert [c["id"] for c in page["items"]] == [first["id"], reply["id"]]
    assert all(set(c) == COMMENT for c in page["items"]) and page["next_cursor"] is None
    check_stream(page["stream"], f"thread:{post['id']}")
    assert page["stream"]["offset"] == 2
    shown = (await guest.get(f"/posts/{post['id']}", headers=position)).expect(200)
    assert shown["comment_count"] == 2
    check_stream(shown["stream"], f"thread:{post['id']}")


async def test_edit_history_delete_and_leave(
    ada: ApiClient, ben: ApiClient, guest: ApiClient
) -> None:
    fresh = {"Serai-Position": "f" * 16}
    post = await ada.post("fr", "Before")
    comment = await ben.comment(post["id"], "first text")
    answered = await ada.comment(post["id"], "below", comment["id"])

    edited = (
        await ada.call("PATCH", f"/posts/{post['id']}", {"title": "After", "body_markdown": "new"})
    ).expect(200)
    assert edited["title"] == "After" and TIME.fullmatch(edited["edited_at"])
    history = (await guest.get(f"/posts/{post['id']}/history", headers=fresh)).expect(200)
    assert [(r["title"], r["replaced_at"] is None) for r in history["items"]] == [
        ("After", True),
        ("Before", False),
    ]
    patch = {"body_markdown": "second text"}
    (await ben.call("PATCH", f"/comments/{comment['id']}", patch)).expect(200)
    history = (await guest.get(f"/comments/{comment['id']}/history", headers=fresh)).expect(200)
    assert [r["body_markdown"] for r in history["items"]] == ["second text", "first text"]

    # Nobody changes what others wrote.
    stolen = await ada.call("PATCH", f"/comments/{comment['id']}", {"body_markdown": "mine"})
    stolen.problem(403, "not_permitted")
    (await ben.call("DELETE", f"/posts/{post['id']}")).problem(403, "not_permitted")
    (await ben.call("PATCH", f"/posts/{post['id']}", {"locked": True})).problem(
        403, "not_permitted"
    )

    (await ben.call("DELETE", f"/comments/{comment['id']}")).expect(204)
    page = await guest.comments(post["id"], headers=fresh)
    gone, below = page["items"]
    assert (gone["deleted"], gone["body_markdown"], gone["body_html"]) == (True, "", "")
    assert gone["author"] is None and below["id"] == answered["id"]
    (await ada.call("DELETE", f"/posts/{post['id']}")).expect(204)
    deleted = await guest.get(f"/posts/{post['id']}", headers=fresh)
    if deleted.status == 200:
        assert deleted.json["deleted"] and deleted.json["title"] == ""
    else:
        deleted.problem(404, "not_found")
    feed = (await guest.get("/communities/fr/feed?sort=new", headers=fresh)).expect(200)
    assert post["id"] not in [item["id"] for item in feed["items"]]

    (await ada.call("PUT", "/communities/fr/membership")).expect(200)
    (await ada.call("DELETE", "/communities/fr/membership")).expect(204)
    assert (await ada.get("/communities?joined=true")).expect(200)["items"] == []


async def test_account_and_directory(ada: ApiClient, guest: ApiClient) -> None:
    me = (await ada.get("/me")).expect(200)
    assert set(me) >= {"id", "handle", "email", "display_name", "languages"}
    assert (me["id"], me["handle"]) == (ada.id, ada.account["handle"])
    empty = (await ada.get("/notifications")).expect(200)
    assert (empty["items"], empty["next_cursor"]) == ([], None)

    countries = (await guest.get("/countries")).expect(200)["items"]
    assert len(countries) > 240 and {"code": "DE", "name": "Germany"}.items() <= next(
        item.items() for item in countries if item["code"] == "DE"
    )
    visas = (await guest.get("/visa-types?country=DE")).expect(200)["items"]
    assert "student" in {item["code"] for item in visas}
    found = (await guest.get("/communities?country=DE&visa_type=student")).expect(200)
    assert [item["slug"] for item in found["items"]] == ["de-student"]
    assert set(found["items"][0]) >= {
        "id", "slug", "name", "country", "visa_type", "kind", "member_count", "rules",
    }  # fmt: skip
    named = (await guest.get("/communities?q=Germany&limit=100")).expect(200)["items"]
    assert "de" in {item["slug"] for item in named}


async def test_feeds_in_pages(ada: ApiClient, ben: ApiClient, guest: ApiClient) -> None:
    """Every order shows every post once; the home feed holds what was joined."""
    posts = [(await ada.post("nz", f"Number {n}"))["id"] for n in range(7)]
    await ben.vote("post", posts[2], 1)
    fresh = {"Serai-Position": "f" * 16}
    for sort in ("hot", "new", "top"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (
                await guest.get(
                    f"/communities/nz/feed?sort={sort}&window=all&limit=3{cursor}", headers=fresh
                )
            ).expect(200)
            seen += [item["id"] for item in page["items"]]
            assert all(set(item) >= POST for item in page["items"])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        mine = [id for id in seen if id in posts]
        assert sorted(mine) == sorted(posts) and len(seen) == len(set(seen))
        if sort == "new":
            assert mine == posts[::-1]
        elif sort == "top":
            assert mine[0] == posts[2]
    (await ben.call("PUT", "/communities/nz/membership")).expect(200)
    home = (await ben.get("/feeds/home?sort=new&limit=100")).expect(200)
    assert set(posts) <= {item["id"] for item in home["items"]}
    assert {item["country"] for item in home["items"]} == {"NZ"}
    assert (await guest.get("/feeds/home")).expect(200)["items"]


async def test_comments_in_pages(ada: ApiClient, guest: ApiClient) -> None:
    post = await ada.post()
    roots = [(await ada.comment(post["id"], f"root {n}"))["id"] for n in range(3)]
    chain = [roots[0]]
    for n in range(14):
        chain.append((await ada.comment(post["id"], f"deeper {n}", chain[-1]))["id"])
    fresh = {"Serai-Position": "f" * 16}
    whole = await guest.comments(f"{post['id']}", headers=fresh)
    assert len(whole["items"]) == 17
    assert max(comment["depth"] for comment in whole["items"]) == 12
    for sort in ("best", "new", "old"):
        seen: list[str] = []
        cursor = ""
        while True:
            answer = await guest.get(
                f"/posts/{post['id']}/comments?sort={sort}&limit=4{cursor}", headers=fresh
            )
            page = answer.expect(200)
            seen += [comment["id"] for comment in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(seen) == sorted([*roots, *chain[1:]])
    below = (
        await guest.get(f"/posts/{post['id']}/comments?parent_id={roots[0]}", headers=fresh)
    ).expect(200)
    assert {comment["id"] for comment in below["items"]} == set(chain[1:])


async def test_guests_read_and_may_not_write(ada: ApiClient, guest: ApiClient) -> None:
    post = await ada.post()
    comment = await ada.comment(post["id"])
    writes: list[tuple[str, str, object]] = [
        ("POST", "/posts", {"community_id": "de", "title": "abc", "body_markdown": "b"}),
        ("PATCH", f"/posts/{post['id']}", {"title": "abc"}),
        ("DELETE", f"/posts/{post['id']}", None),
        ("POST", f"/posts/{post['id']}/comments", {"body_markdown": "b"}),
        ("PATCH", f"/comments/{comment['id']}", {"body_markdown": "b"}),
        ("DELETE", f"/comments/{comment['id']}", None),
        ("PUT", f"/posts/{post['id']}/vote", {"value": 1}),
        ("PUT", f"/comments/{comment['id']}/vote", {"value": 1}),
        ("PUT", "/communities/de/membership", None),
        ("DELETE", "/communities/de/membership", None),
        ("PUT", "/notifications/read", {"up_to": post["id"]}),
    ]
    for method, path, body in writes:
        (await guest.call(method, path, body)).problem(401, "unauthenticated")
    for path in ("/me", f"/me/marks?ids={post['id']}", "/notifications"):
        (await guest.get(path)).problem(401, "unauthenticated")
    for path in (
        f"/posts/{post['id']}",
        f"/posts/{post['id']}/history",
        f"/posts/{post['id']}/comments",
        f"/comments/{comment['id']}/history",
        "/communities/de/feed",
        "/communities",
    ):
        (await guest.get(path)).expect(200)


async def test_registration_says_what_is_wrong(ada: ApiClient, guest: ApiClient) -> None:
    taken = {
        "handle": ada.account["handle"],
        "email": "somebody.else@example.org",
        "password": PASSWORD,
    }
    (await guest.call("POST", "/auth/register", taken)).problem(409, "conflict")
    for change in ({"handle": "No"}, {"password": "short"}, {"email": "nothing"}):
        bad = {**taken, "handle": "abcdef", **change}
        problem = (await guest.call("POST", "/auth/register", bad)).problem(400, "invalid")
        assert [error["path"] for error in problem["errors"]] == list(change)
    wrong = {"login": ada.account["handle"], "password": PASSWORD + "!"}
    (await guest.call("POST", "/auth/login", wrong)).problem(401, "invalid_credentials")
    unknown = {"login": "nobody_is_called_so", "password": PASSWORD}
    (await guest.call("POST", "/auth/login", unknown)).problem(401, "invalid_credentials")


async def test_documents_and_probes(guest: ApiClient, server: RunningServer) -> None:
    document = (await guest.get("/openapi.json")).expect(200)
    assert document["openapi"].startswith("3.1")
    for path in ("/api/v1/posts", "/api/v1/auth/register", "/api/v1/feeds/home"):
        assert path in document["paths"]
    assert (await guest.get("/healthz")).expect(200)["status"]
    assert (await guest.get("/readyz")).expect(200) == {"status": "ready"}
    metrics = await guest.get("/metrics")
    assert metrics.status == 200
    # The shared port answers for all processes: also what other gateways and actors counted.
    text = metrics.body.decode()
    assert "serai_http_requests_total" in text and "serai_realtime_sockets" in text
    (await guest.get("/nothing-here")).problem(404, "not_found")
    wrong = await guest.call("DELETE", "/countries")
    wrong.problem(405, "method_not_allowed")
    assert "GET" in wrong.headers["Allow"]
