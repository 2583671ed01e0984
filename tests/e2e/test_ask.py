"""A question on the running server: from a thread to its citation, and away with the thread."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.conditions import wait_until_async
from tests.e2e.api_client import ApiClient
from tests.e2e.python_client import PythonClient
from tests.e2e.server import RunningServer

pytestmark = pytest.mark.e2e

# A code of its own, which no other test's threads hold.
ENGLISH: Final = "How much money for form ZK81 of the German student visa?"
HINDI: Final = "जर्मनी के स्टूडेंट वीज़ा के लिए फ़ॉर्म ZK81 में कितने पैसे चाहिए?"
# What was not found is remembered for a while, for each language apart.
LANGUAGES: Final = ("hi", "hi-IN", "en", "de", "es", "fr", "pt", "ar", "zh", "ru", "uk", "tr", "fa",
                    "ja", "ko", "hi-Latn")  # fmt: skip
_SECONDS: Final = 120.0


async def test_a_question_is_answered_from_a_thread_in_another_language(
    ada: ApiClient, guest: ApiClient, server: RunningServer
) -> None:
    community = "de-student"
    post = await ada.post(community, "How much money must form ZK81 show?")
    comment = await ada.comment(post["id"], "ZK81 must show funds of 11,904 euros a year.")
    accepted = {"comment_id": comment["id"]}
    (await ada.call("PUT", f"/posts/{post['id']}/accepted", accepted)).expect(200)

    told: list[dict[str, Any]] = []
    languages = iter(LANGUAGES)

    async def answered() -> bool:
        body = {"question": HINDI, "language": next(languages)}
        headers = {"Accept": "application/json"}
        told.append((await guest.call("POST", "/ask", body, headers=headers)).expect(200))
        return bool(told[-1]["mode"] != "not_found")

    async def is_indexed() -> bool:
        found = (await guest.get("/search?q=ZK81&kind=comment")).expect(200)
        return bool(found["items"])

    await wait_until_async(is_indexed, _SECONDS)
    await wait_until_async(answered, _SECONDS)
    answer = told[-1]
    assert answer["mode"] == "extractive"
    assert [source["id"] for source in answer["sources"]] == [comment["id"]]
    assert "11,904 euros" in answer["answer_markdown"]
    assert answer["citations"] == [1]

    stream = (await guest.call("POST", "/ask", {"question": ENGLISH})).body.decode()
    events = [event.split("\ndata: ") for event in stream.rstrip("\n").split("\n\n")]
    assert [name for name, _ in events] == ["event: sources", "event: answer"]
    streamed = json.loads(events[-1][1])
    verdict = {"verdict": "helpful"}
    feedback = f"/ask/{streamed['answer_id']}/feedback"
    (await ada.call("POST", feedback, verdict)).expect(204)

    async with PythonClient(server.ws_url) as client:
        assert await client.rpc("POST /api/v1/ask", {"question": ENGLISH}) == streamed

    (await ada.call("DELETE", f"/posts/{post['id']}")).expect(204)
    headers = {"Accept": "application/json"}
    gone = (await guest.call("POST", "/ask", {"question": ENGLISH}, headers=headers)).expect(200)
    assert gone["mode"] == "not_found"
    assert (await ada.call("POST", feedback, verdict)).problem(404, "not_found")
