"""Retries with a key, reading one's own writes past the edge cache, conditional requests."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e


async def test_a_replay_returns_the_first_answer(ada: ApiClient, ben: ApiClient) -> None:
    key = secrets.token_hex(8)
    body = {"community_id": "de", "title": "Once", "body_markdown": "only"}
    first = await ada.call("POST", "/posts", body, key=key)
    post = first.expect(201)
    again = await ada.call("POST", "/posts", body, key=key)
    assert again.status == 201 and again.json["id"] == post["id"]
    other = await ada.call("POST", "/posts", {**body, "title": "Other"}, key=key)
    other.problem(409, "conflict")

    path, text = f"/posts/{post['id']}/comments", {"body_markdown": "a comment"}
    # The same key of another member is another key.
    answers = await asyncio.gather(
        *(client.call("POST", path, text, key=key + "c") for client in (ada, ben) for _ in range(8))
    )
    assert {answer.status for answer in answers} == {201}
    ids = [answer.json["id"] for answer in answers]
    assert len(set(ids[:8])) == len(set(ids[8:])) == 1 and ids[0] != ids[8]
    # A key belongs to a request: using it for another resource is a conflict as well.
    (await ada.call("POST", path, text, key=key)).problem(409, "conflict")
    fresh = {"Serai-Position": "f" * 16}
    assert len((await ada.comments(post["id"], headers=fresh))["items"]) == 2
    # The first resource in its present state, also after it changed.
    (await ada.call("PATCH", f"/comments/{ids[0]}", {"body_markdown": "edited"})).expect(200)
    replay = await ada.call("POST", path, text, key=key + "c")
    assert replay.status == 201 and replay.json["id"] == ids[0]
    for bad in ("", " ", "x" * 129, "a\tb"):
        answer = await ada.call("POST", path, text, headers={"Idempotency-Key": bad})
        answer.problem(400, "invalid")


async def test_concurrent_replays_on_all_gateways(ada: ApiClient, server: RunningServer) -> None:
    """Whoever commits first, everybody is answered with the same resource."""
    post = await ada.post()
    urls = server.gateway_urls()
    assert len(urls) == 2
    path, key = f"/posts/{post['id']}/comments", secrets.token_hex(8)
    async with ApiClient(urls[0]) as left, ApiClient(urls[1]) as right:
        left.token = right.token = ada.token
        answers = await asyncio.gather(
            *(
                client.call("POST", path, {"body_markdown": "same"}, key=f"{key}{n % 3}")
                for n in range(12)
                for client in (left, right)
            )
        )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 3
    fresh = {"Serai-Position": "f" * 16}
    page = await ada.comments(post["id"], headers=fresh)
    assert len(page["items"]) == 3 and page["stream"]["offset"] == 3


async def test_own_writes_are_read_everywhere(ada: ApiClient, server: RunningServer) -> None:
    """Each gateway holds the page in its cache; the writer's position goes past it."""
    post = await ada.post()
    path = f"/posts/{post['id']}/comments"
    feed = "/communities/de/feed?sort=new&limit=3"
    clients = []
    for url in server.gateway_urls():
        client = ApiClient(url)
        await client.__aenter__()
        clients.append(client)
    try:
        for round in range(5):
            for client in clients:
                (await client.get(path)).expect(200)
                (await client.get(feed)).expect(200)
            answer = await ada.call("POST", path, {"body_markdown": f"round {round}"})
            mine = answer.expect(201)["id"]
            position = {"Serai-Position": answer.headers["Serai-Position"]}
            for client in clients:
                page = await client.comments(post["id"], headers=position)
                assert mine in [comment["id"] for comment in page["items"]]
                one = (await client.get(f"/posts/{post['id']}", headers=position)).expect(200)
                assert one["comment_count"] == round + 1
            body = {"community_id": "de", "title": f"Round {round}", "body_markdown": "b"}
            answer = await ada.call("POST", "/posts", body)
            position = {"Serai-Position": answer.headers["Serai-Position"]}
            for client in clients:
                page = (await client.get(feed, headers=position)).expect(200)
                assert page["items"][0]["id"] == answer.json["id"]
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)


async def test_a_cached_page_dies_with_the_next_event(
    ada: ApiClient, ben: ApiClient, server: RunningServer
) -> None:
    """Also for those who send no position: within the deadline, without their doing."""
    post = await ada.post()
    for url in server.gateway_urls():
        async with ApiClient(url) as reader:
            before = len((await reader.comments(post["id"]))["items"])
            made = await ben.comment(post["id"])
            async with asyncio.timeout(20):
                while True:
                    page = await reader.comments(post["id"])
                    if made["id"] in [comment["id"] for comment in page["items"]]:
                        break
            assert len(page["items"]) == before + 1


async def test_conditional_reads(ada: ApiClient, guest: ApiClient) -> None:
    post = await ada.post()
    fresh = {"Serai-Position": "f" * 16}
    for path in (
        f"/posts/{post['id']}",
        f"/posts/{post['id']}/comments",
        f"/posts/{post['id']}/history",
        "/countries",
        "/communities/de-student",
        "/communities?country=DE",
    ):
        first = await guest.get(path, headers=fresh)
        etag = first.headers["ETag"]
        first.expect(200)
        for match in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            same = await guest.get(path, headers={"If-None-Match": match})
            assert (same.status, same.body, same.headers["ETag"]) == (304, b"", etag), path
        assert (await guest.get(path, headers={"If-None-Match": '"other"'})).status == 200
    path = f"/posts/{post['id']}/comments"
    etag = (await guest.get(path, headers=fresh)).headers["ETag"]
    answer = await ada.call("POST", path, {"body_markdown": "new"})
    position = answer.headers["Serai-Position"]
    changed = await guest.get(path, headers={"If-None-Match": etag, "Serai-Position": position})
    assert changed.status == 200 and changed.headers["ETag"] != etag
    # The own account is nobody else's page.
    mine = await ada.get("/me")
    assert mine.headers["Cache-Control"] == "no-store"


async def test_head_says_what_get_says(guest: ApiClient) -> None:
    got = await guest.get("/countries")
    head = await guest.call("HEAD", "/countries")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(got.body))
