"""The server as processes: what there is, where it listens, how it starts, ends, starts again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.conditions import wait_until
from tests.e2e.api_client import ApiClient
from tests.e2e.js_client import JsClient
from tests.e2e.process_tree import listeners_of
from tests.e2e.python_client import PythonClient
from tests.e2e.server import ROOT, RunningServer, free_port
from tests.stores import short_directory

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Each Serve replica's server for calls between deployments: Ray binds it to every interface (its
# address is a constant in ray/serve/_private/replica.py) and lets only holders of the token in.
LISTENS_EVERYWHERE = frozenset(
    {
        "gateway", "thread", "feed", "accounts", "rate_limit", "search", "llm", "assistant",
        "worker_light", "worker_ai",
    }
)  # fmt: skip


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, and open to the user that the database runs as."""
    made = short_directory()
    yield made
    shutil.rmtree(made)


def test_processes_by_role(server: RunningServer) -> None:
    printed = server.command("processes")
    assert printed.returncode == 0, printed.stderr
    processes = json.loads(printed.stdout)
    counts = Counter(process["role"] for process in processes)
    assert {
        "up": 1, "postgres": 1, "valkey": 1, "gateway": 2, "shard": 2, "thread": 1, "feed": 1,
        "accounts": 1, "rate_limit": 1, "search": 1, "llm": 1, "assistant": 1,
        "worker_light": 1, "worker_ai": 1,
    }.items() <= counts.items()  # fmt: skip
    tree = {process.pid for process in server.tree()}
    assert {process["pid"] for process in processes} <= tree
    assert all(process["node"] for process in processes)


def test_listens_on_loopback_only(server: RunningServer) -> None:
    roles = {process["pid"]: process["role"] for process in server.processes()}
    listeners = listeners_of({process.pid for process in server.tree()})
    assert {server.port} <= {each.port for each in listeners if each.loopback}
    outside = [each for each in listeners if not each.loopback]
    named = Counter(roles.get(each.pid, f"pid {each.pid}") for each in outside)
    assert set(named) <= LISTENS_EVERYWHERE, named
    by_process = Counter(each.pid for each in outside)
    assert set(by_process.values()) <= {1}, by_process


def test_what_is_in_the_way_is_said(server: RunningServer, directory: Path) -> None:
    """By `doctor` and by a second start, which leaves nothing behind and hurts the first in
    nothing."""
    blocked = RunningServer(directory / "data", port=server.port)
    for command in ("doctor", "up"):
        done = blocked.command(command)
        text = done.stdout + done.stderr
        assert done.returncode == 1 and str(server.port) in text and "Traceback" not in text
    assert "error" in blocked.command("doctor").stdout
    same_data = RunningServer(server.data_dir, port=free_port())
    done = same_data.command("up")
    text = done.stdout + done.stderr
    assert done.returncode == 1 and str(server.data_dir) in text and "Traceback" not in text
    assert blocked.command("processes").returncode == 1
    unknown = subprocess.run(
        [sys.executable, "-m", "serve_app", "doctor"],
        cwd=ROOT,
        env={**blocked.env, "SERAI_GATEWAY__PROT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 2 and "SERAI_GATEWAY__PROT" in unknown.stderr
    assert len(server.pids("gateway")) == 2


async def test_stops_starts_and_survives_a_massacre(server: RunningServer, directory: Path) -> None:
    """A second server beside the shared one: stopped under live connections, started, killed as a
    whole under load, started again. What was acknowledged is there each time; clients come back by
    themselves and miss nothing."""
    second = RunningServer(directory / "data").start()
    try:
        async with ApiClient(second.url) as ada, ApiClient(server.url) as elsewhere:
            await ada.register("ada")
            post = await ada.post()
            other = await elsewhere.get(f"/posts/{post['id']}")
            other.problem(404, "not_found")
            answer = await elsewhere.get("/me", headers={"Authorization": f"Bearer {ada.token}"})
            answer.problem(401, "unauthenticated")
            texts = [f"before {n}" for n in range(5)]
            for text in texts:
                await ada.comment(post["id"], text)
            async with (
                PythonClient(second.ws_url, ada.token) as python,
                JsClient(second.ws_url, ada.token) as js,
            ):
                following = await python.follow(f"thread:{post['id']}")
                stream = (await ada.comments(post["id"]))["stream"]
                await js.subscribe(stream["channel"], since={**stream, "offset": 0})

                await asyncio.to_thread(second.stop)
                # Told to come back, not cut off, and not sent away for good.
                await wait_until(lambda: len(python.events.connecting) > 1, 60)
                assert python.events.connecting[1] == 3001
                await asyncio.to_thread(second.start)
                assert (await following.wait_subscribed(2)).recovered

                texts += await _killed_under_load(second, ada, post["id"])
                await asyncio.to_thread(second.start)
                assert (await following.wait_subscribed(3)).recovered
                await ada.login("ada")
                (await ada.get("/me")).expect(200)
                texts.append("after")
                await ada.comment(post["id"], "after")
                page = await ada.comments(post["id"], headers={"Serai-Position": "f" * 16})
                there = [comment["body_markdown"] for comment in page["items"]]
                assert set(texts) <= set(there) and len(there) == len(set(there))
                top = page["stream"]["offset"]
                assert top == len(there) and page["stream"]["epoch"] == stream["epoch"]
                await following.wait_offset(top)
                await js.wait_for_event("publication", 60, channel=stream["channel"], offset=top)
                assert following.offsets == list(range(6, top + 1))
                seen = [p["offset"] for p in js.publications(stream["channel"]) if p["offset"]]
                assert seen == list(range(1, top + 1))
        # As Ctrl-C in a terminal: all processes of the group get the signal.
        await asyncio.to_thread(second.stop, signal.SIGINT, whole_group=True)
    finally:
        second.kill_tree()


async def _killed_under_load(server: RunningServer, author: ApiClient, post_id: str) -> list[str]:
    """Texts of comments that were acknowledged before every process was killed."""
    acknowledged: list[str] = []

    async def write(writer: int) -> None:
        for n in range(10_000):
            text = f"writer {writer} comment {n}"
            try:
                answer = await author.call(
                    "POST", f"/posts/{post_id}/comments", {"body_markdown": text}
                )
            except aiohttp.ClientConnectionError:
                return
            assert answer.status == 201
            acknowledged.append(text)

    writers = [asyncio.create_task(write(n)) for n in range(4)]
    await wait_until(lambda: len(acknowledged) > 100, 60)
    victims = await asyncio.to_thread(server.kill_tree)
    assert len(victims) > 15
    await asyncio.gather(*writers)
    return acknowledged


def test_stopped_while_it_starts(directory: Path) -> None:
    """SIGTERM at two moments of a start: nothing is left, and the next start is not hurt."""
    for line in ("starting PostgreSQL", "starting Ray"):
        half = RunningServer(directory / "data")
        log = half.data_dir.parent / "data.log"
        log.unlink(missing_ok=True)
        failure: list[BaseException] = []

        def start(half: RunningServer = half, failure: list[BaseException] = failure) -> None:
            try:
                half.start()
            except AssertionError as error:
                failure.append(error)

        starting = threading.Thread(target=start)
        starting.start()
        deadline = time.monotonic() + 120
        while line not in half.log:
            assert time.monotonic() < deadline, half.log
            time.sleep(0.01)
        half.stop()
        starting.join()
        assert failure and "the server ended" in str(failure[0])


def test_on_an_existing_cluster(directory: Path) -> None:
    """RAY_ADDRESS: Serai joins, works, and leaves the cluster running when it stops."""
    port = free_port()
    # Both sides must agree on what 127.0.0.1 means to Ray: here, nothing but loopback.
    shared = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    ray = Path(sys.executable).with_name("ray")
    head = subprocess.Popen(
        [ray, "start", "--head", "--block", f"--port={port}", f"--temp-dir={directory}/ray",
         "--include-dashboard=false", "--node-ip-address=127.0.0.1", "--disable-usage-stats"],
        env={**os.environ, **shared},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not _listens(port):
            assert head.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        guest = RunningServer(
            directory / "data",
            {"RAY_ADDRESS": f"127.0.0.1:{port}", **shared},
        )
        with guest:
            asyncio.run(_smoke(guest))
            assert guest.pids("gateway")
        assert head.poll() is None and _listens(port)
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        try:
            head.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()


async def _smoke(server: RunningServer) -> None:
    async with ApiClient(server.url) as ada:
        await ada.register()
        post = await ada.post()
        async with PythonClient(server.ws_url, ada.token) as python:
            following = await python.follow(f"thread:{post['id']}")
            await ada.comment(post["id"])
            await following.wait_offset(1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
