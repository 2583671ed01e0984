"""Whatever a client sends is a typed problem, on the whole server: never a 500, never a stuck
socket. What the gateway alone refuses is in tests/integration; here it passes every actor."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from actors.access_token import sign
from actors.messages import Caller
from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e

BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1e999",
    b'"text"',
    b"\xff\xfe",
    b'{"body_markdown":"\xc3\x28"}',
    b'{"body_markdown":"\\ud800"}',
    b'{"body_markdown":"a\\u0000b"}',
    b'{"body_markdown":7,"value":"1","title":[],"community_id":{},"up_to":true}',
    b'{"body_markdown":["a"],"title":7,"parent_id":"not-an-id","value":7,"up_to":"x"}',
    b"[" * 50_000,
]


def _writes(post_id: str, comment_id: str) -> list[tuple[str, str]]:
    return [
        ("POST", "/posts"),
        ("PATCH", f"/posts/{post_id}"),
        ("PUT", f"/posts/{post_id}/vote"),
        ("POST", f"/posts/{post_id}/comments"),
        ("PATCH", f"/comments/{comment_id}"),
        ("PUT", f"/comments/{comment_id}/vote"),
        ("PUT", "/notifications/read"),
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
    ]


async def test_malformed_bodies(ada: ApiClient) -> None:
    post = await ada.post()
    comment = await ada.comment(post["id"])
    for (method, path), body in itertools.product(_writes(post["id"], comment["id"]), BODIES):
        answer = await ada.call(method, path, data=body)
        assert answer.problem(400, "invalid"), (method, path, body[:40])
    assert (await ada.comments(post["id"]))["items"] != []


async def test_wrong_kinds_of_bodies(ada: ApiClient) -> None:
    post = await ada.post()
    path = f"/posts/{post['id']}/comments"
    ten_megabytes = json.dumps({"body_markdown": "x" * 10_000_000}).encode()
    answer = await ada.call("POST", path, data=ten_megabytes)
    answer.problem(413, "too_large")
    body = b'{"body_markdown":"a"}'
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-16"},
    ):
        answer = await ada.call("POST", path, data=body, headers=headers)
        answer.problem(415, "unsupported_media_type")
    limits = {"body_markdown": "ü" * 10_001}
    problem = (await ada.call("POST", path, limits)).problem(400, "invalid")
    assert problem["errors"][0]["path"] == "body_markdown"
    longest = await ada.comment(post["id"], "ü" * 10_000)
    assert len(longest["body_markdown"]) == 10_000
    answer = await ada.call("POST", path, data=body, headers={"Content-Encoding": "gzip"})
    answer.problem(415, "unsupported_media_type")


async def test_a_client_that_stops_in_the_middle(ada: ApiClient, server: RunningServer) -> None:
    """Half a request, half a body, then nothing or a reset: others are served meanwhile."""
    heads = [
        b"GET /api/v1/count",
        b"POST /api/v1/posts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/v1/countries HTTP/9.9\r\n\r\n",
    ]
    writers = []
    for head in heads * 4:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        writers.append(writer)
    (await ada.get("/countries")).expect(200)
    for number, writer in enumerate(writers):
        if number % 2:
            writer.transport.abort()
        else:
            writer.close()
    (await ada.get("/countries")).expect(200)


async def test_foreign_and_absent_ids(ada: ApiClient, ben: ApiClient) -> None:
    post = await ada.post()
    comment = await ada.comment(post["id"])
    other_post = await ada.post("fr")
    elsewhere = await ada.comment(other_post["id"])
    absent = [str(uuid4()), str(UUID(int=0)), "01a20928-2dd8-7fff-8553-4b0a2ed0fc64", ben.id]
    for id in [*absent, comment["id"]]:
        for method, path, body in (
            ("GET", f"/posts/{id}", None),
            ("GET", f"/posts/{id}/comments", None),
            ("GET", f"/posts/{id}/history", None),
            ("PATCH", f"/posts/{id}", {"title": "abc"}),
            ("DELETE", f"/posts/{id}", None),
            ("PUT", f"/posts/{id}/vote", {"value": 1}),
            ("POST", f"/posts/{id}/comments", {"body_markdown": "a"}),
        ):
            (await ada.call(method, path, body)).problem(404, "not_found")
    for id in [*absent, post["id"]]:
        for method, path, body in (
            ("GET", f"/comments/{id}/history", None),
            ("PATCH", f"/comments/{id}", {"body_markdown": "a"}),
            ("DELETE", f"/comments/{id}", None),
            ("PUT", f"/comments/{id}/vote", {"value": 1}),
        ):
            (await ada.call(method, path, body)).problem(404, "not_found")
        (await ada.get(f"/communities/{id}")).problem(404, "not_found")
        (await ada.get(f"/communities/{id}/feed")).problem(404, "not_found")
        (await ada.call("PUT", f"/communities/{id}/membership")).problem(404, "not_found")
    # A parent that is another post's, or nobody's.
    for parent in (elsewhere["id"], post["id"], str(uuid4())):
        answer = await ada.call(
            "POST", f"/posts/{post['id']}/comments", {"body_markdown": "a", "parent_id": parent}
        )
        assert answer.status in (400, 404), answer
        answer.problem(answer.status, "invalid" if answer.status == 400 else "not_found")
        below = await ada.get(f"/posts/{post['id']}/comments?parent_id={parent}")
        if below.status == 200:
            assert below.json["items"] == []
        else:
            below.problem(404, "not_found")
    unknown = {"community_id": "no-such-place", "title": "abc", "body_markdown": "b"}
    (await ada.call("POST", "/posts", unknown)).problem(400, "invalid")
    # Marks of what is not there are left out.
    marks = await ada.get(f"/me/marks?ids={','.join(absent)}")
    assert marks.expect(200)["votes"] == {}


async def test_text_where_an_id_belongs(ada: ApiClient, guest: ApiClient) -> None:
    for text in ("1", "%00", "..%2f..", "%ff%fe", "ü", "a" * 3000, "' or 1=1 --", "%F0%9F%98%80"):
        for path in (
            f"/posts/{text}",
            f"/posts/{text}/comments",
            f"/comments/{text}/history",
            f"/communities/{text}",
            f"/communities/{text}/feed",
        ):
            for client in (guest, ada):
                answer = await client.get(path)
                assert answer.status in (400, 404), (path, answer)
                answer.problem(answer.status, "invalid" if answer.status == 400 else "not_found")
    for ids in ("a", "1,2", "%00", ",".join(["x"] * 500)):
        (await ada.get(f"/me/marks?ids={ids}")).problem(400, "invalid")


def _broken(cursor: str) -> Iterator[str]:
    yield from ("x", "%00", "AAAA", "=", "ü", "9" * 2000, cursor[:-2], cursor[::-1], f"{cursor}A")
    yield cursor[:5] + "A" + cursor[6:]


async def test_unknown_cursors(ada: ApiClient, ben: ApiClient) -> None:
    post = await ada.post("it")
    for n in range(3):
        await ada.post("it", f"More {n}")
        await ada.comment(post["id"], f"Comment {n}")
    pages = [
        "/communities/it/feed?sort=hot&limit=1",
        "/communities/it/feed?sort=new&limit=1",
        "/communities/it/feed?sort=top&window=all&limit=1",
        "/feeds/home?limit=1",
        "/communities?limit=1",
        f"/posts/{post['id']}/comments?limit=1",
    ]
    fresh = {"Serai-Position": "f" * 16}
    cursors = {}
    for path in pages:
        page = (await ben.get(path, headers=fresh)).expect(200)
        cursors[path] = page["next_cursor"]
        assert page["next_cursor"], path
    foreign = list(cursors.values())
    for path, cursor in cursors.items():
        (await ben.get(f"{path}&cursor={cursor}")).expect(200)
        for bad in (*_broken(cursor), *(c for c in foreign if c != cursor)):
            answer = await ben.get(f"{path}&cursor={bad}")
            # A changed cursor may still be one: then it is answered like one.
            assert answer.status in (200, 400), (path, bad, answer)
            if answer.status == 400:
                answer.problem(400, "invalid")
        (await ben.get(f"{path}&cursor=x")).problem(400, "invalid")
    for path in ("limit=0", "limit=101", "limit=x", "sort=odd", "window=year", "limit=1&limit=2"):
        (await ben.get(f"/communities/it/feed?{path}")).problem(400, "invalid")


async def test_forged_and_expired_tokens(ada: ApiClient, server: RunningServer) -> None:
    caller = Caller(UUID(ada.id), ada.account["handle"], "x", "member", uuid4())
    now = time.time()
    good = ada.token
    assert good is not None
    header, payload, signature = good.split(".")
    forged = [
        "x",
        "a.b.c",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[::-1]}",
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + payload + ".",
        sign(caller, "another secret, long enough for HS256", now, 900),
        "é" * 5,
        "x" * 7_000,
    ]
    for token in forged:
        ada.token = None
        answer = await ada.get("/me", headers={"Authorization": f"Bearer {token}"})
        answer.problem(401, "unauthenticated")
        assert "Bearer" in answer.headers["WWW-Authenticate"]
    for scheme in ("Basic abc", "Bearer", "Bearer ", good):
        answer = await ada.get("/me", headers={"Authorization": scheme})
        answer.problem(401, "unauthenticated")
    expired = sign(caller, server.secret, now - 1000, 900)
    answer = await ada.get("/me", headers={"Authorization": f"Bearer {expired}"})
    answer.problem(401, "token_expired")
    # A genuine token of an account that is no more: nothing is written in its name.
    stranger = Caller(uuid4(), "ghost", "Ghost", "admin", uuid4())
    ada.token = sign(stranger, server.secret, now, 900)
    body = {"community_id": "de", "title": "abc", "body_markdown": "b"}
    answer = await ada.call("POST", "/posts", body)
    assert answer.status in (401, 403), answer
    answer = await ada.get("/me")
    assert answer.status in (401, 404), answer
    ada.token = good
    (await ada.get("/me")).expect(200)


async def test_many_bad_requests_at_once_hurt_nobody(ada: ApiClient, ben: ApiClient) -> None:
    """A batch that carries bad items still serves the good ones beside them."""
    post = await ada.post()
    good = [
        ben.call("POST", f"/posts/{post['id']}/comments", {"body_markdown": f"good {n}"})
        for n in range(20)
    ]
    bad = [
        ada.call("POST", f"/posts/{uuid4()}/comments", {"body_markdown": "a"}) for _ in range(20)
    ]
    bad += [
        ada.call(
            "POST",
            f"/posts/{post['id']}/comments",
            {"body_markdown": "a", "parent_id": str(uuid4())},
        )
        for _ in range(20)
    ]
    mixed = [call for pair in zip(good, bad[:20], bad[20:], strict=True) for call in pair]
    answers = await asyncio.gather(*mixed)
    assert [answer.status for answer in answers[::3]] == [201] * 20
    assert {answer.status // 100 for answer in answers[1::3] + answers[2::3]} == {4}
    fresh = {"Serai-Position": "f" * 16}
    page = await ada.comments(post["id"], headers=fresh)
    assert sorted(c["body_markdown"] for c in page["items"]) == sorted(
        f"good {n}" for n in range(20)
    )
