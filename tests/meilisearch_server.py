"""A server that answers as Meilisearch's API documentation shows, from a script.

Each request must be the next of the script, to the last byte of its JSON: what the adapter sends is
what is tested. Nothing is searched here.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Exchange(NamedTuple):
    method: str
    path: str
    body: Any
    status: int
    answer: Any


def accepted(task: int, index: str, kind: str) -> Any:
    """The summarized task object of reference/api/tasks."""
    return {
        "taskUid": task,
        "indexUid": index,
        "status": "enqueued",
        "type": kind,
        "enqueuedAt": "2021-08-11T09:25:53.000000Z",
    }


def task(
    task: int, index: str, kind: str, status: str = "succeeded", error: Any = None
) -> Exchange:
    """GET /tasks/{uid}, the task object of the same page."""
    ended = status in ("succeeded", "failed")
    answer = {
        "uid": task,
        "indexUid": index,
        "status": status,
        "type": kind,
        "canceledBy": None,
        "details": {},
        "error": error,
        "duration": "PT0.001192S" if ended else None,
        "enqueuedAt": "2022-08-04T12:28:15.159167Z",
        "startedAt": "2022-08-04T12:28:15.161996Z" if ended else None,
        "finishedAt": "2022-08-04T12:28:15.163188Z" if ended else None,
    }
    return Exchange("GET", f"/tasks/{task}", None, 200, answer)


def no_index(name: str) -> Any:
    return {
        "message": f"Index `{name}` not found.",
        "code": "index_not_found",
        "type": "invalid_request",
        "link": "https://docs.meilisearch.com/errors#index_not_found",
    }


def index_object(name: str) -> Any:
    return {
        "uid": name,
        "createdAt": "2022-02-10T07:45:15.628261Z",
        "updatedAt": "2022-02-21T15:28:43.496574Z",
        "primaryKey": "id",
    }


class ScriptedServer:
    def __init__(self, script: Sequence[Exchange]) -> None:
        self.left = deque(script)
        self.surprises: list[str] = []
        self.keys: set[str | None] = set()

    def answer(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        self.keys.add(key)
        expected = self.left.popleft() if self.left else None
        if expected is None or expected[:3] != (method, path, body):
            self.surprises.append(f"{method} {path} {json.dumps(body)} instead of {expected}")
            return 400, {"message": "not in the script", "code": "bad_request"}
        return expected.status, expected.answer


@contextmanager
def scripted_server(*script: Exchange) -> Iterator[tuple[str, ScriptedServer]]:
    """Its address. Fails where the script was not followed to its end."""
    state = ScriptedServer(script)

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else None
            status, answer = state.answer(
                self.command, self.path, body, self.headers.get("Authorization")
            )
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST = do_PATCH = do_DELETE = _handle

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", state
        assert state.surprises == []
        assert not state.left, f"never asked for: {state.left[0]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
