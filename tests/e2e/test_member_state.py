"""What members keep for themselves, through a whole server."""

from __future__ import annotations

import asyncio

from tests.e2e.api_client import COMMUNITY, ApiClient


async def test_own_state_is_kept_and_a_followed_thread_is_told_once(
    ada: ApiClient, ben: ApiClient
) -> None:
    body = {"kind": "post", "body_markdown": "Half a thought", "community_id": COMMUNITY}
    draft = (await ben.call("POST", "/me/drafts", body, key="draft")).expect(201)
    again = (await ben.call("POST", "/me/drafts", body, key="draft")).expect(201)
    assert again == draft
    path = f"/me/drafts/{draft['id']}"
    change = {"revision": 1, "body_markdown": "A whole thought"}
    assert (await ben.call("PUT", path, change)).expect(200)["revision"] == 2
    stale = {"revision": 1, "body_markdown": "Another thought"}
    (await ben.call("PUT", path, stale)).problem(409, "conflict")
    assert (await ben.get(path)).expect(200)["body_markdown"] == "A whole thought"
    (await ben.call("DELETE", path)).expect(204)
    assert (await ben.get("/me/drafts")).expect(200)["items"] == []

    post = await ada.post()
    (await ben.call("PUT", f"/posts/{post['id']}/save")).expect(204)
    (await ben.call("PUT", f"/posts/{post['id']}/follow", {"level": "all"})).expect(200)
    (await ben.call("PUT", f"/communities/{COMMUNITY}/follow", {"level": "none"})).expect(200)
    comments = [await ada.comment(post["id"], "the first")]

    async def told() -> list[tuple[str, int]]:
        page = (await ben.get("/notifications")).expect(200)
        return [(item["kind"], item["count"]) for item in page["items"]]

    async with asyncio.timeout(60):
        while await told() != [("thread", 1)]:
            pass
    comments += [await ada.comment(post["id"], f"more {n}") for n in range(2)]
    assert await told() == [("thread", 3)]
    reached = await ben.call("PUT", f"/posts/{post['id']}/read", {"comment_id": comments[1]["id"]})
    assert reached.expect(200) == {"comment_id": comments[1]["id"], "unread": 1}
    assert (await ben.get("/notifications")).expect(200)["unread"] == 0

    (await ben.call("PUT", f"/me/mutes/accounts/{ada.account['handle']}")).expect(204)
    muted = (await ben.get("/me/mutes/accounts")).expect(200)["items"]
    assert [item["id"] for item in muted] == [ada.id]
    community = post["community_id"]
    marks = (await ben.get(f"/me/marks?ids={post['id']},{community}")).expect(200)
    assert marks == {
        "votes": {},
        "saved": [post["id"]],
        "read": {post["id"]: comments[1]["id"]},
        "unread": {post["id"]: 0},  # what remains is by somebody who is muted now
        "follows": {post["id"]: "all", community: "none"},
        "asked": [],
    }
    (item,) = (await ben.get("/me/saves")).expect(200)["items"]
    assert (item["kind"], item["post"]["id"]) == ("post", post["id"])
    me = (await ben.call("PATCH", "/me", {"display_name": "Ben B."})).expect(200)
    assert (me["display_name"], me["default_follow_level"]) == ("Ben B.", "all")
