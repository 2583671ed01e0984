"""A picture from its member's disk to everybody's eyes, through the whole server."""

from __future__ import annotations

import asyncio
import io

import pytest
from PIL import Image

from tests import media_files as files
from tests.e2e.api_client import COMMUNITY, ApiClient

pytestmark = pytest.mark.e2e


async def test_a_picture_is_sent_processed_posted_and_seen(
    ada: ApiClient, guest: ApiClient
) -> None:
    photo = files.photograph()
    body = {"file_name": "visa.jpg", "size_bytes": len(photo), "content_type": "image/jpeg"}
    ticket = (await ada.call("POST", "/media", body)).expect(201)
    path, upload = f"/media/{ticket['id']}", ticket["upload"]
    address = upload["url"].removeprefix("/api/v1")
    # Whoever has the address may send it, without a token.
    sent = await guest.call(upload["method"], address, data=photo, headers=upload["headers"])
    sent.expect(204)
    async with asyncio.timeout(90):
        while (answer := await ada.call("POST", f"{path}/complete")).status == 202:  # noqa: ASYNC110 - HTTP alone tells
            await asyncio.sleep(0.2)
    state = answer.expect(200)
    assert state["status"] == "ready", state
    (await guest.get(path)).problem(404, "not_found")
    post = {"community_id": COMMUNITY, "title": "My visa", "body_markdown": f"![visa]({path})"}
    written = await ada.call("POST", "/posts", post)
    shown = written.expect(201)["body_html"]
    assert f'src="/api/v1{path}/thumbnails/960"' in shown
    # Who has just looked in vain asks for what the post's answer promises.
    since = {"Serai-Position": written.headers["Serai-Position"]}
    answer = await guest.get(f"{path}/thumbnails/960", headers=since)
    assert answer.status == 200
    assert Image.open(io.BytesIO(answer.body)).size == (640, 960)
    assert files.CAMERA.encode() not in (await guest.get(path, headers=since)).body
