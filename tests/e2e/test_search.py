"""Search in a running server: from a write to what is found, and gone again."""

from __future__ import annotations

import uuid

import pytest

from tests.conditions import wait_until_async
from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e


async def _ids(client: ApiClient, query: str) -> list[str]:
    answer = await client.get(f"/search?{query}")
    return [item["id"] for item in answer.expect(200)["items"]]


async def test_what_is_written_is_found_and_what_is_removed_is_not(
    ada: ApiClient, guest: ApiClient, server: RunningServer
) -> None:
    word = f"apostille{uuid.uuid4().hex[:12]}"
    post = await ada.post(title=f"The {word} of the court")
    comment = await ada.comment(post["id"], f"my {word} took a week")

    async def both_found() -> bool:
        return {post["id"], comment["id"]} == set(await _ids(guest, f"q={word}&country=DE"))

    await wait_until_async(both_found, 60)
    suggested = (await guest.get(f"/search/suggest?q={word[:-3]}")).expect(200)["items"]
    assert [item["id"] for item in suggested] == [post["id"]]
    assert await _ids(guest, f"q={word}&kind=comment") == [comment["id"]]
    (await ada.call("DELETE", f"/posts/{post['id']}")).expect(204)
    assert await _ids(guest, f"q={word}") == []
    (await guest.get("/search?q=x&cursor=AAAA")).problem(400, "invalid")

    done = server.command("search", "status")
    assert done.returncode == 0 and "searched" in done.stdout, done.stderr
