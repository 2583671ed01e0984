"""The document describes every route and refers to nothing that is not in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from config.errors import HTTP_STATUS
from serve_app.api import connections
from serve_app.api.errors import TITLES, Problem
from serve_app.api.openapi import document
from serve_app.api.routing import ROUTES
from serve_app.site import atom, sitemap
from serve_app.site.pages import PATHS

# Built through JSON: what clients get.
DOCUMENT: dict[str, Any] = msgspec.json.decode(
    msgspec.json.encode(document(ROUTES, "serai_refresh_8000"))
)
_FOR_READERS: Final = {route.path for route in (*sitemap.ROUTES, *atom.ROUTES)}
_CONNECTIONS: Final = {route.path for route in connections.ROUTES}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_route_is_documented_and_nothing_else() -> None:
    shown = {(route.path, route.method.lower()) for route in ROUTES if not route.hidden}
    documented = {
        (path, method) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert documented == shown
    hidden = {route.path for route in ROUTES if route.hidden and route.access != "api_key"}
    assert hidden == {"/api/docs/{asset}", *PATHS.values(), *_FOR_READERS, *_CONNECTIONS}


def test_routes_are_unique_and_writes_are_for_members() -> None:
    keys = [(route.method, route.path) for route in ROUTES]
    assert len(keys) == len(set(keys))
    for route in ROUTES:
        # Connections are authorized by their first frame, commands of them by a secret id.
        open_writes = route.path.startswith("/api/v1/auth/") or route.path in _CONNECTIONS
        open_writes |= route.path == "/api/v1/ask"  # a question, which guests may ask
        if route.method != "GET" and not open_writes:
            assert route.access in ("member", "api_key", "signed"), route.path
        if route.path.startswith("/api/v1/") and route.tag != "server":
            assert route.rate is not None, route.path


def test_references_resolve() -> None:
    found = set(_references(DOCUMENT))
    assert "#/components/responses/Problem" in found
    for reference in found:
        node: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def test_schemas_are_json_schema_2020_12() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                Draft202012Validator.check_schema(parameter["schema"])


def test_operations_are_complete() -> None:
    ids = []
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            ids.append(operation["operationId"])
            in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            names = [(p["in"], p["name"]) for p in operation["parameters"]]
            assert len(names) == len(set(names))
            assert any(code.startswith(("2", "3")) for code in operation["responses"]), path
            assert "500" in operation["responses"]
            assert ("requestBody" in operation) <= (method != "get")
            for requirement in operation["security"]:
                assert set(requirement) <= set(DOCUMENT["components"]["securitySchemes"])
    assert len(ids) == len(set(ids))


def test_each_operation_lists_the_codes_of_its_route() -> None:
    for route in ROUTES:
        if route.hidden:
            continue
        responses = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
        listed = {code: status for status, r in responses.items() for code in r.get("x-codes", ())}
        assert listed == {code: str(HTTP_STATUS[code]) for code in route.codes}, route.path
        assert responses["default"] == {"$ref": "#/components/responses/Problem"}


@pytest.mark.parametrize(
    ("method", "path", "status", "codes"),
    [
        ("post", "/api/v1/auth/register", "409", ["conflict"]),
        ("post", "/api/v1/auth/login", "403", ["suspended"]),
        ("post", "/api/v1/auth/login", "401", ["invalid_credentials"]),
        ("post", "/api/v1/auth/refresh", "403", ["not_permitted", "suspended"]),
        ("post", "/api/v1/posts/{post_id}/comments", "404", ["not_found"]),
        ("post", "/api/v1/posts/{post_id}/comments", "423", ["locked"]),
        ("get", "/api/v1/me", "401", ["token_expired", "unauthenticated"]),
        ("get", "/api/v1/countries", "503", ["overloaded", "unavailable"]),
    ],
)
def test_codes_that_clients_must_tell_apart(
    method: str, path: str, status: str, codes: list[str]
) -> None:
    assert DOCUMENT["paths"][path][method]["responses"][status]["x-codes"] == codes


def test_the_refresh_cookie_is_a_credential_of_refresh_and_log_out_alone() -> None:
    taking = {
        path
        for path, operations in DOCUMENT["paths"].items()
        for operation in operations.values()
        if {"refreshCookie": []} in operation["security"]
    }
    assert taking == {"/api/v1/auth/refresh", "/api/v1/auth/logout"}


def test_limits_of_the_contract_are_shown() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    title = schemas["PostBody"]["properties"]["title"]
    assert (title["minLength"], title["maxLength"]) == (3, 300)
    assert schemas["PostBody"]["properties"]["body_markdown"]["maxLength"] == 40_000
    assert schemas["CommentBody"]["properties"]["body_markdown"]["maxLength"] == 10_000
    parameters = DOCUMENT["paths"]["/api/v1/posts/{post_id}/comments"]["get"]["parameters"]
    limit = next(p["schema"] for p in parameters if p["name"] == "limit")
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 500, 200)


def test_example_of_a_problem_is_one() -> None:
    content = DOCUMENT["components"]["responses"]["Problem"]["content"]
    example = content["application/problem+json"]["example"]
    assert msgspec.convert(example, Problem).code in HTTP_STATUS


@pytest.mark.parametrize("code", HTTP_STATUS)
def test_every_code_has_a_title(code: str) -> None:
    assert TITLES[code]
