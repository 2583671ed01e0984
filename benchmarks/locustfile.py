"""People on a server, for a load test by hand:

    python -m locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000 -u 200 -r 20

Visitors browse feeds and threads, members post, comment and vote, live readers follow a thread over
a WebSocket, lose it now and then and recover. The target is locust's --host and nothing else; it
needs content (`make demo`), and rate limits off (SERAI_RATE_LIMIT__ENABLED=false) where all users
share one address.
"""

# locust and websocket-client come without complete type information.
# mypy: disable-error-code="import-untyped,no-untyped-call,untyped-decorator,misc"

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

from locust import between, constant, task
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import RescheduleTask
from websocket import WebSocket, WebSocketException, WebSocketTimeoutException, create_connection

API: Final = "/api/v1"
SOCKET_PATH: Final = "/connection/websocket"
_FOLLOW_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 10.0
_TEXTS: Final = (
    "How long did it take for you? I applied in **May**.",
    "The consulate asked for a certified copy.\n\n- passport\n- two photographs",
    "Bei mir waren es acht Wochen, ein Termin war nicht nötig.",
    "¿Alguien sabe si el certificado debe estar apostillado?",
)


class Person(FastHttpUser):
    """Finds its way through communities as a guest does; knows what it saw last."""

    abstract = True
    wait_time = between(1, 5)

    def on_start(self) -> None:
        self.headers: dict[str, str] = {}
        page = self._get(f"{API}/communities?limit=100", "/communities")
        self.communities: list[str] = [c["slug"] for c in page["items"]] if page else []
        self.posts: list[str] = []

    def _get(self, path: str, name: str) -> dict[str, Any] | None:
        with self.client.get(
            path, name=name, headers=self.headers, catch_response=True
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return None
            found: dict[str, Any] = response.json()
            return found

    def _send(self, method: str, path: str, name: str, body: object, wanted: int) -> None:
        headers = {**self.headers, "Idempotency-Key": uuid4().hex}
        with self.client.request(
            method, path, name=name, json=body, headers=headers, catch_response=True
        ) as response:
            if response.status_code != wanted:
                response.failure(f"status {response.status_code}")

    def _some_post(self) -> str:
        if not self.posts:
            self.browse_feed()
        if not self.posts:
            raise RescheduleTask
        return random.choice(self.posts)

    @task(6)
    def browse_feed(self) -> None:
        if random.random() < 0.3 or not self.communities:
            page = self._get(f"{API}/feeds/home", "/feeds/home")
        else:
            sort = random.choice(("hot", "hot", "new", "top"))
            slug = random.choice(self.communities)
            page = self._get(
                f"{API}/communities/{slug}/feed?sort={sort}", f"/communities/*/feed?sort={sort}"
            )
        if page and page["items"]:
            self.posts = [post["id"] for post in page["items"]]


class Browser(Person):
    abstract = True

    @task(4)
    def read_thread(self) -> None:
        post = self._some_post()
        self._get(f"{API}/posts/{post}", "/posts/*")
        self._get(f"{API}/posts/{post}/comments", "/posts/*/comments")


class Visitor(Browser):
    """A guest: reads only."""

    weight = 8


class Member(Browser):
    """Registers once, then also writes."""

    weight = 2

    def on_start(self) -> None:
        super().on_start()
        handle = f"l{uuid4().hex[:20]}"
        body = {"handle": handle, "email": f"{handle}@example.org", "password": uuid4().hex}
        path = f"{API}/auth/register?transport=body"
        with self.client.post(
            path, name="/auth/register", json=body, catch_response=True
        ) as response:
            if response.status_code != 201:
                response.failure(f"status {response.status_code}")
            else:
                self.headers = {"Authorization": f"Bearer {response.json()['access_token']}"}

    def _require_account(self) -> None:
        if not self.headers:
            raise RescheduleTask

    @task(3)
    def vote(self) -> None:
        self._require_account()
        value = random.choice((1, 1, 1, 0, -1))
        path = f"{API}/posts/{self._some_post()}/vote"
        self._send("PUT", path, "/posts/*/vote", {"value": value}, 200)

    @task(2)
    def comment(self) -> None:
        self._require_account()
        body = {"body_markdown": random.choice(_TEXTS)}
        path = f"{API}/posts/{self._some_post()}/comments"
        self._send("POST", path, "/posts/*/comments", body, 201)

    @task(1)
    def post(self) -> None:
        self._require_account()
        if not self.communities:
            raise RescheduleTask
        found = self._get(f"{API}/communities/{random.choice(self.communities)}", "/communities/*")
        if found:
            body = {
                "community_id": found["id"],
                "title": "How long did it take?",
                "body_markdown": random.choice(_TEXTS),
            }
            self._send("POST", f"{API}/posts", "/posts", body, 201)


class LiveReader(Person):
    """Follows one thread at a time as an SDK does: connect, subscribe, read, lose it, recover."""

    weight = 5
    wait_time = constant(1)

    @task(12)
    def follow(self) -> None:
        channel = f"thread:{self._some_post()}"
        position: dict[str, Any] = {}
        for _ in range(2):  # the second time it recovers what it missed in between
            if not self._listen(channel, position):
                return
            time.sleep(random.uniform(0.5, 3))

    def _listen(self, channel: str, position: dict[str, Any]) -> bool:
        recover = {"recover": True, **position} if position else {}
        name = "recover" if recover else "subscribe"
        try:
            with self._measured("connect"):
                socket: WebSocket = create_connection(
                    str(self.host).replace("http", "ws", 1) + SOCKET_PATH, timeout=_ANSWER_SECONDS
                )
                socket.send('{"id":1,"connect":{}}')
                self._answer(socket, 1)
        except (OSError, WebSocketException):
            return False
        try:
            with self._measured(name):
                command = {"id": 2, "subscribe": {"channel": channel, **recover}}
                socket.send(json.dumps(command))
                result = self._answer(socket, 2)["subscribe"]
                if recover and not result.get("recovered"):
                    raise WebSocketException("not recovered")
            position["epoch"] = result.get("epoch", "")
            missed = result.get("publications", [])
            position["offset"] = missed[-1]["offset"] if missed else result.get("offset", 0)
            self._read(socket, position, time.monotonic() + _FOLLOW_SECONDS)
        except (OSError, WebSocketException):
            return False
        finally:
            socket.shutdown()  # no close frame: a lost connection
        return True

    def _answer(self, socket: WebSocket, number: int) -> dict[str, Any]:
        while True:
            for message in self._messages(socket):
                if message.get("id") == number:
                    if "error" in message:
                        raise WebSocketException(f"error {message['error']}")
                    return message

    def _read(self, socket: WebSocket, position: dict[str, Any], until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            socket.settimeout(left)
            try:
                messages = list(self._messages(socket))
            except WebSocketTimeoutException:
                return
            for message in messages:
                publication = message.get("push", {}).get("pub", {})
                if publication.get("offset"):
                    self._take(publication, position)

    def _take(self, publication: dict[str, Any], position: dict[str, Any]) -> None:
        offset = publication["offset"]
        gap = None
        if position.get("offset") and offset != position["offset"] + 1:
            gap = WebSocketException(f"offset {offset} after {position['offset']}")
        position["offset"] = offset
        committed_ns = publication["data"].get("committed_ns", time.time_ns())
        self._report("publication", (time.time_ns() - committed_ns) / 1e6, gap)

    @staticmethod
    def _messages(socket: WebSocket) -> Iterator[dict[str, Any]]:
        """One frame's messages; a ping is answered."""
        text = socket.recv()
        if not text:
            raise WebSocketException("closed by the server")
        for line in text.splitlines():
            message = json.loads(line)
            if message:
                yield message
            else:
                socket.send("{}")

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except (OSError, WebSocketException) as error:
            failure = error
            raise
        finally:
            self._report(name, (time.perf_counter() - began) * 1e3, failure)

    def _report(self, name: str, milliseconds: float, failure: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="WS", name=name, response_time=milliseconds, response_length=0,
            exception=failure, context={},
        )  # fmt: skip
