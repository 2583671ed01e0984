"""Whatever a client sends is answered by a typed problem, never by a 500 or a stuck socket."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from actors.messages import Reply
from serve_app.gateway.leased_bucket import Verdict
from tests.gateway_app import (
    AS_MEMBER,
    POST_ID,
    REFUSED,
    GatewayUnderTest,
    problem_of,
    running_gateway,
)

Running = tuple[GatewayUnderTest, aiohttp.ClientSession]
JSON = {**AS_MEMBER, "Content-Type": "application/json"}
COMMENTS = f"/api/v1/posts/{POST_ID}/comments"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with running_gateway(cors_origins=("https://app.example",)) as made:
        yield made


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b"", "", ""),
        (b"{", "", ""),
        (b"[]", "", "Expected `object`, got `array`"),
        (b"\xef\xbb\xbf{}", "", ""),
        (b'{"body_markdown":1}', "body_markdown", "Expected `str`, got `int`"),
        (b"{}", "body_markdown", "is required"),
        (b'{"body_markdown":"a","parent_id":"7"}', "parent_id", "Invalid UUID"),
        (b'{"body_markdown":"\xff"}', "", ""),
        (b'{"body_markdown":"\\ud800"}', "", ""),
        (b'{"body_markdown":"a\\u0000b"}', "body_markdown", "holds U+0000"),
        (b'{"body_markdown":" \\n "}', "body_markdown", "Expected visible text"),
        (b'{"body_markdown":""}', "body_markdown", "Expected `str` of length >= 1"),
        (
            b'{"body_markdown":"' + b"x" * 10_001 + b'"}',
            "body_markdown",
            "Expected `str` of length <= 10000",
        ),
        (b'{"body_markdown":"a","parent":null}', "parent", "is unknown"),
        (b'{"body_markdown":"a","x":' + b"[" * 100_000 + b"}", "x", "is unknown"),
        (
            b'{"body_markdown":' + b"[" * 100_000 + b"}",
            "body_markdown",
            "Expected `str`, got `array`",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_bad_body_names_the_field(
    running: Running, body: bytes, path: str, reason: str
) -> None:
    gateway, session = running
    async with session.post(COMMENTS, data=body, headers=JSON) as response:
        problem = await problem_of(response)
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert problem["errors"] == ([{"path": path, "reason": reason}] if reason else [])
    assert gateway.backends.requests == []


async def test_longest_allowed_texts_pass(running: Running) -> None:
    gateway, session = running
    # Every character escaped: six bytes each.
    text = b"\\u00fc" * 40_000
    tags = b'["' + b'","'.join(b"%039d" % n for n in range(10)) + b'"]'
    title = b"\\u00fc" * 300
    body = b'{"community_id":"de","title":"%b","body_markdown":"%b","tags":%b}' % (
        title,
        text,
        tags,
    )
    async with session.post("/api/v1/posts", data=body, headers=JSON) as response:
        assert response.status == 200, await response.text()
    request = gateway.backends.requests[0]
    assert (len(request.title), len(request.body_markdown), len(request.tags)) == (300, 40_000, 10)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "ab"),
        ("title", "  a  "),
        ("title", "x" * 301),
        ("body_markdown", "x" * 40_001),
        ("tags", ["x"] * 11),
        ("tags", ["x" * 41]),
        ("tags", [" "]),
        ("language", "not a language"),
        ("community_id", ""),
    ],
)
async def test_limits_of_a_post(running: Running, field: str, value: Any) -> None:
    _, session = running
    body = {"community_id": "de", "title": "A title", "body_markdown": "b", field: value}
    async with session.post("/api/v1/posts", json=body, headers=AS_MEMBER) as response:
        problem = await problem_of(response)
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["path"].startswith(field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("handle", "ab"),
        ("handle", "Amina"),
        ("handle", "amina\n"),
        ("handle", "x" * 31),
        ("password", "too short"),
        ("password", "x" * 257),
        ("email", "nowhere"),
        ("languages", ["de\n"]),
    ],
)
async def test_limits_of_an_account(running: Running, field: str, value: Any) -> None:
    _, session = running
    body = {"handle": "amina", "email": "a@mail.org", "password": "long enough", field: value}
    async with session.post("/api/v1/auth/register", json=body) as response:
        problem = await problem_of(response)
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["path"].startswith(field)
    # The value is not echoed; the rest of the problem holds a random request id.
    assert str(value) not in str(problem["errors"])


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/feeds/home?limit=0",
        "/api/v1/feeds/home?limit=101",
        "/api/v1/feeds/home?limit=x",
        "/api/v1/feeds/home?limit=1&limit=2",
        "/api/v1/feeds/home?sort=worst",
        "/api/v1/feeds/home?cursor=%00",
        "/api/v1/feeds/home?languages=de,",
        "/api/v1/feeds/home?languages=german",
        "/api/v1/communities/de/feed?languages=de,*",
        "/api/v1/communities/de/feed?personal=perhaps",
        "/api/v1/communities?country=DEU",
        "/api/v1/communities?joined=perhaps",
        f"{COMMENTS}?limit=501",
        f"{COMMENTS}?parent_id=none",
    ],
)
async def test_bad_query(running: Running, path: str) -> None:
    gateway, session = running
    async with session.get(path) as response:
        problem = await problem_of(response)
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert problem["errors"]
    assert gateway.backends.requests == []


@pytest.mark.parametrize("ids", ["", "x", f"{POST_ID},,y", ",".join([POST_ID] * 201)])
async def test_bad_ids_of_marks(running: Running, ids: str) -> None:
    _, session = running
    async with session.get(f"/api/v1/me/marks?ids={ids}", headers=AS_MEMBER) as response:
        assert (await problem_of(response))["errors"][0]["path"] == "ids"


async def test_unknown_paths_ids_and_methods(running: Running) -> None:
    _, session = running
    for path in ("/nowhere", "/api/v1/posts/7", "/api/v1/communities/a%00b", "/api/v1/posts/%ff"):
        async with session.get(path) as response:
            assert (await problem_of(response))["code"] == "not_found", path
    async with session.patch("/api/v1/posts", json={}) as response:
        assert (await problem_of(response))["code"] == "method_not_allowed"
        assert response.headers["Allow"] == "OPTIONS, POST"
    async with session.delete("/api/v1/countries") as response:
        assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 65_536


async def test_bodies_over_the_limit(running: Running) -> None:
    gateway, session = running
    too_long = gateway.settings.gateway.max_body_bytes + 1
    async with session.post(COMMENTS, data=b" " * too_long, headers=JSON) as response:
        assert (await problem_of(response))["code"] == "too_large"
        assert response.status == 413
    async with session.post(COMMENTS, data=_chunks(8), headers=JSON) as response:
        assert (await problem_of(response))["code"] == "too_large"
    async with session.post(COMMENTS, data=b"x" * too_long, headers=JSON, expect100=True) as got:
        assert (await problem_of(got))["code"] == "too_large"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_media_types(running: Running, headers: dict[str, str]) -> None:
    _, session = running
    data = b'{"body_markdown":"a"}'
    if "Content-Encoding" in headers:
        data = gzip.compress(data)
    async with session.post(COMMENTS, data=data, headers={**AS_MEMBER, **headers}) as response:
        assert (await problem_of(response))["code"] == "unsupported_media_type"
        assert response.status == 415


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\there"])
async def test_bad_idempotency_key(running: Running, key: str) -> None:
    _, session = running
    headers = {**AS_MEMBER, "Idempotency-Key": key}
    async with session.post(COMMENTS, json={"body_markdown": "a"}, headers=headers) as response:
        assert (await problem_of(response))["errors"][0]["path"] == "Idempotency-Key"


async def test_rate_limit_speaks_in_headers(running: Running) -> None:
    gateway, session = running
    gateway.limiter.verdict = Verdict(True, 10, 4, 3, 0)
    async with session.post(COMMENTS, json={"body_markdown": "a"}, headers=AS_MEMBER) as response:
        names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
        assert [response.headers[name] for name in names] == ["10", "4", "3"]
    gateway.limiter.verdict = REFUSED
    requests = len(gateway.backends.requests)
    async with session.post(COMMENTS, json={"body_markdown": "a"}, headers=AS_MEMBER) as response:
        assert (await problem_of(response))["code"] == "rate_limited"
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
        assert response.headers["RateLimit-Remaining"] == "0"
    assert len(gateway.backends.requests) == requests
    assert gateway.limiter.charged[-1] == (
        "comment",
        "0192f5a6-7c3e-7d2b-8b1a-9c7d5e3f1a2b",
        "127.0.0.1",
    )
    # Guessing tokens is charged too.
    async with session.get("/api/v1/me", headers={"Authorization": "Bearer guess"}) as response:
        assert response.status == 429


async def test_defect_is_a_500_that_says_nothing(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, session = running

    def answer(request: Any) -> Reply:
        raise ZeroDivisionError("defect")

    gateway.backends.answer = answer
    headers = {**AS_MEMBER, "X-Request-Id": "mine-1"}
    with caplog.at_level(logging.ERROR):
        async with session.get("/api/v1/me?token=in-the-query", headers=headers) as response:
            problem = await problem_of(response)
    assert (problem["code"], problem["request_id"]) == ("internal", "mine-1")
    assert "defect" not in str(problem)
    assert "mine-1" in caplog.text and "ZeroDivisionError" in caplog.text
    assert "in-the-query" not in caplog.text and "good" not in caplog.text


@pytest.mark.parametrize("given", ["a b", "x" * 65, "ü"])
async def test_request_ids_from_outside_are_checked(running: Running, given: str) -> None:
    _, session = running
    async with session.get("/healthz", headers={"X-Request-Id": given}) as response:
        assert response.headers["X-Request-Id"] != given


async def test_cors_is_an_allow_list(running: Running) -> None:
    _, session = running
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with session.options("/api/v1/posts", headers=ask) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Idempotency-Key" in response.headers["Access-Control-Allow-Headers"]
        assert "Origin" in response.headers["Vary"]
    async with session.options(
        "/api/v1/posts", headers={**ask, "Origin": "https://evil.example"}
    ) as response:
        assert not any(name.startswith("Access-Control") for name in response.headers)
    for path in ("/api/v1/countries", "/api/v1/me", "/nowhere"):
        for _ in range(2):
            async with session.get(path, headers={"Origin": "https://app.example"}) as response:
                origin = response.headers["Access-Control-Allow-Origin"]
                assert origin == "https://app.example", path
                assert "Origin" in response.headers["Vary"]
            async with session.get(path, headers={"Origin": "https://evil.example"}) as response:
                assert "Access-Control-Allow-Origin" not in response.headers
                assert "Origin" in response.headers["Vary"]


async def _raw(gateway: GatewayUnderTest, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.server.port)
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", b"400", b"invalid"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400", b"invalid"),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431", b"too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9_000 + b"\r\n\r\n", b"431", b"too_large"),
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + b"".join(b"A%d: %b\r\n" % (n, b"a" * 8_000) for n in range(5))
            + b"\r\n",
            b"431",
            b"too_large",
        ),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"400", b"invalid"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400", b"invalid"),
        (
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
            b"400",
            b"invalid",
        ),
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n",
            b"417",
            b"invalid",
        ),
        (
            b"GET /%zz%c3?\xff\xfe=\xed\xa0\x80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"400",
            b"invalid",
        ),
    ],
    ids=[
        "no request",
        "version",
        "long url",
        "long header",
        "headers in sum",
        "many headers",
        "length",
        "chunk",
        "expect",
        "bytes in url",
    ],
)
async def test_broken_http_is_a_problem_too(
    running: Running, sent: bytes, status: bytes, code: bytes
) -> None:
    gateway, _ = running
    answer = await _raw(gateway, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(maxsplit=2)[1] == status, answer[:200]
    assert b"application/problem+json" in head
    assert b'"code":"' + code + b'"' in body
    assert b"Server: serai" in head
