"""Moved threads through a whole server: who follows them hears where they went."""

from __future__ import annotations

import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url

pytestmark = pytest.mark.e2e


async def test_readers_hear_where_a_thread_went_and_its_links_still_lead_there(
    server: RunningServer, ada: ApiClient, ben: ApiClient, guest: ApiClient
) -> None:
    for slug in ("no", "dk"):
        assert server.command("grant", ben.account["handle"], "moderator", slug).returncode == 0
    post = await ada.post("no")
    comment = await ada.comment(post["id"], "Where does this belong?")
    poll = await ada.call("PUT", f"/posts/{post['id']}/poll", {"options": ["here", "there"]})
    assert poll.expect(200)["poll"]["voters"] == 0
    async with PythonClient(websocket_url(server.gateway_urls()[0]), ada.token) as client:
        thread = await client.follow(f"thread:{post['id']}")
        place = (await guest.get("/communities/dk")).expect(200)
        there = await client.follow(f"community:{place['id']}")
        voted = await ben.call("PUT", f"/posts/{post['id']}/poll/vote", {"options": [1]})
        assert voted.expect(200) == {"votes": [0, 1], "voters": 1, "mine": [1]}
        await wait_until(lambda: bool(thread.of_type("poll.changed")), 60)
        moved = await ben.call("POST", f"/posts/{post['id']}/move", {"community_id": "dk"})
        new = moved.expect(200)
        assert (new["country"], new["poll"]["voters"]) == ("DK", 1)
        await wait_until(lambda: bool(thread.of_type("post.deleted")), 60)
        await wait_until(lambda: bool(there.of_type("post.created")), 60)
        [left] = thread.of_type("post.deleted")
        assert (left["post"]["moved_to"], left["post"]["title"]) == (new["id"], "")
    position = {"Serai-Position": moved.headers["Serai-Position"]}
    old = (await guest.get(f"/posts/{post['id']}", headers=position)).expect(200)
    assert (old["deleted"], old["moved_to"]) == (True, new["id"])
    link = (await guest.get(f"/comments/{comment['id']}", headers=position)).expect(200)
    assert (link["post_id"], link["body_markdown"]) == (new["id"], "Where does this belong?")
    assert link["post_permalink"] == f"/posts/{new['id']}"
