"""A group that members make, and what becomes of its readers when it is made private."""

from __future__ import annotations

import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer, websocket_url

pytestmark = pytest.mark.e2e


async def test_a_group_that_becomes_private(
    ada: ApiClient, ben: ApiClient, guest: ApiClient, server: RunningServer
) -> None:
    """Guests and strangers are unsubscribed with 2000 on every gateway and hear nothing of what
    follows, no kept page is shown, and an invitation lets one of them in again."""
    made = (await ada.call("POST", "/communities", {"name": "Nurses in Leipzig"})).expect(201)
    slug, place = made["slug"], f"community:{made['id']}"
    post = await ada.post(slug, "Among all")
    thread = f"thread:{post['id']}"
    pages = [f"/posts/{post['id']}", f"/posts/{post['id']}/comments", f"/communities/{slug}/feed"]
    for path in pages * 4:
        (await guest.get(path)).expect(200)

    first, second = (websocket_url(url) for url in server.gateway_urls())
    async with (
        PythonClient(first) as stranger,
        PythonClient(second, ben.token) as other,
        PythonClient(first, ada.token) as owner,
    ):
        lost = [
            await stranger.follow(thread),
            await other.follow(thread),
            await other.follow(place),
        ]
        kept = await owner.follow(thread)
        patch = await ada.call("PATCH", f"/communities/{slug}", {"visibility": "private"})
        assert patch.expect(200)["joining"] == "invitation"
        await wait_until(lambda: all(following.unsubscribed for following in lost), 60)
        assert [following.unsubscribed for following in lost] == [[2000]] * 3
        for path in pages:
            (await guest.get(path)).problem(404, "not_found")
            (await ben.get(path)).problem(404, "not_found")
        assert post["id"] not in str((await guest.get("/feeds/home?sort=new&limit=100")).json)
        await ada.comment(post["id"], "not for you")
        await kept.wait_offset(1)
        assert "not for you" not in str([following.publications for following in lost])

        invitation = {"handle": ben.account["handle"]}
        answer = await ada.call("POST", f"/communities/{slug}/invitations", invitation)
        assert answer.expect(200)["role"] is None
        own = (await ben.get("/me/invitations")).expect(200)["items"]
        assert [item["community"]["slug"] for item in own] == [slug]
        joined = await ben.call("PUT", f"/communities/{slug}/membership")
        assert joined.expect(200)["role"] == "member"
        (await ben.get(pages[0])).expect(200)
    async with PythonClient(second, ben.token) as inside:
        await inside.follow(thread)
