"""Every part killed, while somebody asks and under load, as in the failure table: see
steady_load.py for what must hold."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from serve_app.process_tree import descendants
from tests.conditions import wait_until, wait_until_async
from tests.e2e.api_client import ApiClient
from tests.e2e.process_tree import has_unread, listeners_of
from tests.e2e.server import RunningServer
from tests.fault.steady_load import PATIENCE_SECONDS, SteadyLoad, steady_load

pytestmark = [pytest.mark.fault, pytest.mark.slow]

QUESTION = {"question": "How much money for form ZK81 of the German student visa?"}


async def _wait_replaced(server: RunningServer, role: str, killed: set[int], count: int) -> None:
    """Until as many processes of the role live as before, none of them a killed one."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            alive = set(await asyncio.to_thread(server.pids, role))
            if len(alive) >= count and not alive & killed:
                return
            await asyncio.sleep(0.2)


async def _kill(server: RunningServer, role: str, *, all_of_them: bool = True) -> None:
    """SIGKILL under load; returns when replacements live."""
    pids = await asyncio.to_thread(server.pids, role)
    assert pids, role
    victims = pids if all_of_them else pids[:1]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    await _wait_replaced(server, role, set(victims), len(pids))


async def _wait_healthy(server: RunningServer, load: SteadyLoad) -> None:
    """Ready, and every deployment answers again."""
    author, post = load.author, load.post_id
    writes = [("PUT", f"/posts/{post}/vote", {"value": 1})]
    reads = ["/readyz", "/me", "/communities/de/feed?limit=1", f"/posts/{post}", "/search?q=a"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        for method, path, body in [*writes, *(("GET", path, None) for path in reads)]:
            while True:
                if (await author.call(method, path, body)).status == 200:
                    break
                await asyncio.sleep(0.1)


async def _ask(guest: ApiClient) -> dict[str, Any] | None:
    """None: it is told to come again."""
    answer = await guest.call("POST", "/ask", QUESTION, headers={"Accept": "application/json"})
    if answer.status == 200:
        found: dict[str, Any] = answer.json
        return found
    answer.problem(503, "unavailable")
    return None


async def _wait_answered(guest: ApiClient) -> dict[str, Any]:
    """From the thread, by whatever is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await _ask(guest)
            if answer is not None and answer["mode"] != "not_found":
                assert "11,904 euros" in answer["answer_markdown"]
                return answer
            await asyncio.sleep(0.1)


def _notices(answer: dict[str, Any]) -> set[str]:
    return {notice["code"] for notice in answer["notices"]}


def _llama(server: RunningServer) -> int:
    """The child of the llm replica; 0: there is none."""
    return next(
        (
            pid
            for replica in server.pids("llm")
            for pid in descendants(replica)
            if b"ai.engines.llama_server" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ),
        0,
    )


async def test_the_model_dies_while_a_question_waits_for_it(server: RunningServer) -> None:
    """And then each part that a question goes through. First of all tests: later ones leave threads
    that the model is asked to sum up, and what waits for it must be this question."""
    async with ApiClient(server.url) as ada, ApiClient(server.url) as guest:
        await ada.register()
        post = await ada.post("de-student", "How much money must form ZK81 show?")
        comment = await ada.comment(post["id"], "ZK81 must show funds of 11,904 euros a year.")
        accepted = {"comment_id": comment["id"]}
        (await ada.call("PUT", f"/posts/{post['id']}/accepted", accepted)).expect(200)

        async def has_model() -> bool:
            return "model_away" not in _notices(await _wait_answered(guest))

        await wait_until_async(has_model, PATIENCE_SECONDS)
        llama = await asyncio.to_thread(_llama, server)
        [listener] = listeners_of([llama])
        os.kill(llama, signal.SIGSTOP)
        asked = asyncio.create_task(_ask(guest))
        await wait_until(lambda: has_unread(listener.port), PATIENCE_SECONDS)
        os.kill(llama, signal.SIGKILL)
        answer = await asked
        assert answer is not None
        assert answer["mode"] == "extractive"
        assert "11,904 euros" in answer["answer_markdown"]
        assert "model_away" in _notices(answer)

        await wait_until_async(has_model, PATIENCE_SECONDS)
        assert await asyncio.to_thread(_llama, server) not in (0, llama)

        for role in ("search", "llm", "assistant"):
            for pid in await asyncio.to_thread(server.pids, role):
                os.kill(pid, signal.SIGKILL)
            await wait_until_async(has_model, PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "role",
    ["gateway", "thread", "feed", "accounts", "rate_limit", "search", "llm", "assistant",
     "worker_light", "worker_ai", "shard", "valkey", "postgres"],
)  # fmt: skip
async def test_killed_under_load(server: RunningServer, role: str) -> None:
    """All processes of the role at once: with gateways that is the whole entrance."""
    async with steady_load(server) as load:
        await _kill(server, role)
        await load.wait_more(60)
        await _wait_healthy(server, load)


async def test_one_gateway_of_two(server: RunningServer) -> None:
    """The other one serves on: half of the connections notice nothing."""
    async with steady_load(server) as load:
        await _kill(server, "gateway", all_of_them=False)
        await load.wait_more(60)


async def test_writers_killed_again_and_again(server: RunningServer) -> None:
    """Between commit and acknowledgement, between commit and publishing: some of the kills hit."""
    async with steady_load(server) as load:
        for _ in range(3):
            await _kill(server, "thread")
            await load.wait_more(30)
        await _kill(server, "shard")
        await _kill(server, "thread")


async def test_postgres_killed_again_and_again(server: RunningServer) -> None:
    """Each kill meets other moments of a transaction: all are answered 503, none 500."""
    async with steady_load(server) as load:
        for _ in range(5):  # `up` waits ever longer before each restart
            await _kill(server, "postgres")
            await load.wait_more(40)


async def test_everything_at_once(server: RunningServer) -> None:
    """The last straw: shards, writers, one gateway and both stores within the same moment."""
    async with steady_load(server) as load:
        async with asyncio.TaskGroup() as group:
            for role in ("shard", "thread", "postgres", "valkey", "accounts"):
                group.create_task(_kill(server, role))
            group.create_task(_kill(server, "gateway", all_of_them=False))
        await load.wait_more(60)
        await _wait_healthy(server, load)


# ---------------------------------------------------------------- paused


def _descendants(root: int) -> list[int]:
    found = [root]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


class _Paused:
    """SIGSTOP for a process and all below it, SIGCONT afterwards."""

    def __init__(self, pid: int) -> None:
        self._pids = _descendants(pid)

    def __enter__(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for pid in reversed(self._pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_postgres_paused(server: RunningServer) -> None:
    """Writes are answered 503 with Retry-After, sockets stay open, and then everything goes on."""
    async with steady_load(server) as load:
        connections = load.python.events.connected
        dropped = [e for e in load.js.events if e["event"] == "connecting"]
        with _Paused(server.pids("postgres")[0]):
            await wait_until(lambda: load.met["POST 503"] > 0, PATIENCE_SECONDS)
            async with ApiClient(server.url) as guest:
                # What needs no database is served.
                assert (await guest.get("/healthz")).status == 200
                answer = await load.author.call(
                    "POST", "/posts", {"community_id": "de", "title": "abc", "body_markdown": "b"}
                )
                answer.problem(503, answer.json["code"])
                assert answer.json["code"] in ("unavailable", "overloaded")
                assert int(answer.headers["Retry-After"]) >= 1
        await load.wait_more(60)
        await _wait_healthy(server, load)
        assert load.python.events.connected == connections
        assert [e for e in load.js.events if e["event"] == "connecting"] == dropped


async def test_valkey_paused(server: RunningServer) -> None:
    """Nobody waits for it: limits go on by each gateway's own share."""
    async with steady_load(server) as load:
        with _Paused(server.pids("valkey")[0]):
            await load.wait_more(100)
        await load.wait_more(20)


async def test_shards_paused(server: RunningServer) -> None:
    """Posting goes on; what was missed meanwhile comes in order."""
    async with steady_load(server) as load:
        first, second = server.pids("shard")
        with _Paused(first), _Paused(second):
            await load.wait_more(100)
        await load.wait_more(20)
