"""One person's HTTP client: its session, its token, and the calls that tests make most."""

from __future__ import annotations

import io
import itertools
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from multidict import CIMultiDictProxy

PASSWORD: Final = "correct horse battery staple"
COMMUNITY: Final = "de"
# Another run may have left its accounts on the same data.
_RUN: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int) -> Any:
        """The JSON (None for an empty body) of an answer that must have this status."""
        assert self.status == status, (self.status, self.body[:500])
        return self.json if self.body else None

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The problem document (RFC 9457), checked for what all of them share."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        problem: dict[str, Any] = self.json
        assert (problem["status"], problem["code"], self.status) == (status, code, status), problem
        assert problem["type"] and problem["title"] and isinstance(problem["detail"], str)
        assert problem["request_id"] == self.headers["X-Request-Id"]
        return problem


class ApiClient:
    """A guest until `register` or `login`. Cookies are kept as a browser would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token: str | None = None
        self.account: dict[str, Any] = {}
        self.refresh_token = ""
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self.url,
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # unsafe: cookies of an address, not a name
            timeout=aiohttp.ClientTimeout(total=60),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    @property
    def id(self) -> str:
        return str(self.account["id"])

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        key: str | None = None,
    ) -> Answer:
        """`body` is sent as JSON, `data` as it is and named JSON. Paths begin after /api/v1."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if key is not None:
            sent["Idempotency-Key"] = key
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        whole = path if path.startswith(("/healthz", "/readyz", "/metrics")) else f"/api/v1{path}"
        stream = None if data is None else io.BytesIO(data)
        async with self._session.request(method, whole, data=stream, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    # ------------------------------------------------------------ people

    async def register(self, handle: str | None = None) -> dict[str, Any]:
        """A new account under a handle that no other test uses."""
        handle = handle or f"m_{_RUN}_{next(_numbers)}"
        answer = await self.call(
            "POST",
            "/auth/register?transport=body",
            {"handle": handle, "email": f"{handle}@example.org", "password": PASSWORD},
        )
        return self._signed_in(answer.expect(201))

    async def login(self, handle: str) -> dict[str, Any]:
        answer = await self.call(
            "POST", "/auth/login?transport=body", {"login": handle, "password": PASSWORD}
        )
        return self._signed_in(answer.expect(200))

    async def refresh(self, token: str | None = None) -> Answer:
        """With the token in the body; the cookie is tested by itself."""
        return await self.call(
            "POST", "/auth/refresh", {"refresh_token": token or self.refresh_token}
        )

    def _signed_in(self, session: dict[str, Any]) -> dict[str, Any]:
        self.token = session["access_token"]
        self.refresh_token = session["refresh_token"]
        self.account = session["account"]
        return session

    # ------------------------------------------------------------ content

    async def post(self, community: str = COMMUNITY, title: str = "A question") -> dict[str, Any]:
        body = {"community_id": community, "title": title, "body_markdown": "What does one need?"}
        made: dict[str, Any] = (await self.call("POST", "/posts", body)).expect(201)
        return made

    async def comment(
        self, post_id: str, text: str = "An answer", parent_id: str | None = None
    ) -> dict[str, Any]:
        body = {"body_markdown": text, "parent_id": parent_id}
        made: dict[str, Any] = (await self.call("POST", f"/posts/{post_id}/comments", body)).expect(
            201
        )
        return made

    async def vote(self, kind: str, id: str, value: int) -> dict[str, Any]:
        answer = await self.call("PUT", f"/{kind}s/{id}/vote", {"value": value})
        counts: dict[str, Any] = answer.expect(200)
        return counts

    async def comments(self, post_id: str, **options: Any) -> dict[str, Any]:
        page: dict[str, Any] = (await self.get(f"/posts/{post_id}/comments", **options)).expect(200)
        return page
