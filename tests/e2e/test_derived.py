"""What machines make of texts, through the whole server: jobs, workers, routes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.api_client import ApiClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e


async def test_a_scam_reaches_those_who_moderate_and_nobody_else(
    server: RunningServer, ada: ApiClient, ben: ApiClient
) -> None:
    done = server.command("grant", ben.account["handle"], "moderator", "lt")
    assert done.returncode == 0
    text = "Guaranteed visa, we sell appointments for 200 dollars. Pay in USDT on Telegram."
    body = {"community_id": "lt", "title": "Visa in a week", "body_markdown": text}
    post = (await ada.call("POST", "/posts", body)).expect(201)
    path = "/moderation/signals?community=lt&kind=scam"
    (await ada.get(path)).problem(403, "not_permitted")
    async with asyncio.timeout(120):
        while not (found := (await ben.get(path)).expect(200)["items"]):  # noqa: ASYNC110 - HTTP alone tells
            await asyncio.sleep(0.3)
    assert (found[0]["id"], found[0]["author"]["handle"]) == (post["id"], ada.account["handle"])
    assert "payment" in found[0]["reasons"]
    asked = await ada.call("POST", f"/posts/{post['id']}/translation", {"to": "de"})
    asked.problem(501, "not_supported")
    (await ada.get(f"/posts/{post['id']}/summary")).problem(404, "not_found")


async def test_guides_are_brought_while_the_server_runs(
    server: RunningServer, guest: ApiClient, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date().isoformat()
    line = {
        "id": "e2e", "country": "LT", "language": "en", "title": "Moving to Lithuania",
        "body_markdown": "Pay **EUR 120**.", "authority": "Migration Department",
        "source_url": "https://www.example.org/lt", "as_of": today, "last_checked": today,
    }  # fmt: skip
    file = tmp_path / "guides.jsonl"
    file.write_text(json.dumps(line))
    done = server.command("guides", "import", str(file))
    assert done.returncode == 0, done.stderr
    async with asyncio.timeout(60):  # the edge keeps a page for some seconds
        while not (found := (await guest.get("/guides?country=LT")).expect(200)["items"]):  # noqa: ASYNC110 - HTTP alone tells
            await asyncio.sleep(0.3)
    answer = await guest.get(f"/guides/{found[0]['id']}")
    guide = answer.expect(200)
    assert (guide["version"], guide["stale"]) == (1, False)
    assert "<strong>EUR 120</strong>" in guide["body_html"]
    again = await guest.get(
        f"/guides/{found[0]['id']}", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status == 304
