"""A member takes a copy of all that is theirs, then leaves: jobs, both gateways, open sockets."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from typing import Any

import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import PASSWORD, ApiClient
from tests.e2e.js_client import JsClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e
SESSION_ENDED = 3503


async def done(client: ApiClient, path: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            shown: dict[str, Any] = (await client.get(path)).expect(200)
            assert shown["status"] in ("queued", "running", "done"), shown
            if shown["status"] == "done":
                return shown
            await asyncio.sleep(0.1)


async def test_a_member_takes_their_data_and_leaves(
    ada: ApiClient, ben: ApiClient, guest: ApiClient, server: RunningServer
) -> None:
    post = await ben.post()
    comment = await ada.comment(post["id"], "What I wrote")
    (await ada.get("/me/export")).problem(404, "not_found")
    (await ada.call("POST", "/me/export")).expect(202)
    shown = await done(ada, "/me/export")
    link = shown["download_url"].removeprefix("/api/v1")
    archive = (await guest.get(link)).body  # as a browser follows it: without a token
    assert len(archive) == shown["size_bytes"]
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        (exported,) = json.loads(file.read("comments.json"))
    assert (exported["id"], exported["body_markdown"]) == (comment["id"], "What I wrote")
    (await guest.get(link.replace(shown["job_id"], ben.id))).problem(403, "not_permitted")

    (await ada.call("DELETE", "/me", {"password": "wrong"})).problem(401, "invalid_credentials")
    urls = [f"ws{url[4:]}/connection/websocket" for url in server.gateway_urls()]
    async with (
        PythonClient(urls[0], ada.token) as one,
        JsClient(urls[1], ada.token) as other,
        PythonClient(urls[0], ben.token) as of_ben,
    ):
        thread = await of_ben.follow(f"thread:{post['id']}")
        body = {"password": PASSWORD, "erase_content": True}
        ended = (await ada.call("DELETE", "/me", body)).expect(202)
        await wait_until(lambda: bool(one.events.disconnected), 60)
        assert one.events.disconnected == [SESSION_ENDED]
        assert (await other.wait_for_event("disconnected", 60))["code"] == SESSION_ENDED
        await done(guest, f"/erasures/{ended['job_id']}")
        await wait_until(lambda: bool(thread.of_type("comment.deleted")), 60)
        assert of_ben.events.disconnected == []
    (await ada.get("/me")).problem(401, "unauthenticated")
    (await ada.refresh()).problem(401, "unauthenticated")
    assert (await ben.comments(post["id"]))["items"] == []
    (await guest.get(link)).problem(404, "not_found")
    taken = {"handle": ada.account["handle"], "email": "new@example.org", "password": PASSWORD}
    (await guest.call("POST", "/auth/register", taken)).problem(409, "conflict")
