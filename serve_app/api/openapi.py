"""The OpenAPI 3.1 document, made from the route table: nothing about the API is written twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from config.errors import HTTP_STATUS, RETRYABLE
from config.media import THUMBNAIL_SIZES
from serve_app.api.errors import CONTENT_TYPE, TITLES, Problem
from serve_app.api.headers import IDEMPOTENCY_KEY, POSITION
from serve_app.api.route import Nothing, Route

VERSION: Final = "1.0.0"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{name}"
Json = dict[str, Any]
_PARAMETERS: Final[dict[str, Json]] = {
    "community": {"type": "string"},
    "asset": {"type": "string"},
    "checklist_id": {"type": "string"},
    "item_id": {"type": "string"},
    "size": {"type": "integer", "enum": list(THUMBNAIL_SIZES)},
}

_DESCRIPTION: Final = """\
REST side of a Serai server; live updates come by the realtime protocol at `/connection/websocket`.

Guests read everything public without a token. Lists are `{items, next_cursor}`. A content write may
carry an `Idempotency-Key`; its answer carries `Serai-Position`, which, sent back on reads,
guarantees that they show the write. Every failure is `application/problem+json` with a stable
`code`; each operation lists the codes it answers with.

A token that is sent must be good, or the answer is 401. Only pages that are the same for everybody
are answered without a look at it: an expired token is noticed at the first call that depends on
who asks.

`/api/v1/auth/refresh` and `/api/v1/auth/logout` refuse a cookie from pages of other origins with
403 `not_permitted`, unless the server's settings allow that origin."""


def document(routes: Sequence[Route[Any, Any]], cookie_name: str) -> Json:
    """All routes but hidden ones, in the order of the table."""
    shown = [route for route in routes if not route.hidden]
    named: list[Any] = [Problem]
    for route in shown:
        named.extend(kind for kind in (route.body, route.answer) if kind not in (Nothing, None))
    schemas, components = msgspec.json.schema_components(
        [*named, *(route.query for route in shown)], ref_template=_REF
    )
    ref_of = {kind: schema for kind, schema in zip(named, schemas, strict=False)}
    query_names = {route.query.__name__ for route in shown}
    paths: dict[str, Json] = {}
    for route in shown:
        operation = _operation(route, ref_of, components)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Serai",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in shown)],
        "paths": paths,
        "components": {
            "schemas": {k: v for k, v in sorted(components.items()) if k not in query_names},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "refreshCookie": {"type": "apiKey", "in": "cookie", "name": cookie_name},
            },
            "responses": {"Problem": _problem(ref_of[Problem])},
        },
    }


def _operation(route: Route[Any, Any], ref_of: dict[Any, Json], components: Json) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": _parameters(route, components),
        "responses": _responses(route, ref_of),
    }
    if route.takes_body:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {"application/json": {"schema": ref_of[route.body]}},
        }
    if route.takes_file:
        file = {"type": "string", "format": "binary"}
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": file}}}
    if route.access == "member":
        operation["security"] = [{"bearer": []}]
    elif route.access == "guest":
        operation["security"] = [{}, {"bearer": []}]
    elif route.credentials:
        operation["security"] = [{}, *({name: []} for name in route.credentials)]
    else:
        operation["security"] = []
    return operation


def _operation_id(route: Route[Any, Any]) -> str:
    words = route.path.removeprefix("/api/v1").replace("{", "by_").replace("}", "")
    return "_".join([route.method.lower(), *re.split(r"\W+", words.strip("/"))])


def _parameters(route: Route[Any, Any], components: Json) -> list[Json]:
    parameters: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _PARAMETERS.get(name, {"type": "string", "format": "uuid"}),
        }
        for name in _PARAMETER.findall(route.path)
    ]
    query = components.get(route.query.__name__, {})
    required = query.get("required", ())
    for name, schema in query.get("properties", {}).items():
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        parameters.append(parameter)
    if route.idempotent:
        parameters.append(
            _header(IDEMPOTENCY_KEY, "A retry with the same key gets the first answer", 128)
        )
    if route.method == "GET" and route.rate is not None:
        parameters.append(_header("If-None-Match", "An ETag: 304 if nothing changed", 512))
        if route.shared != "never":
            parameters.append(_header(POSITION, "Of the last write: read what it wrote", 64))
    return parameters


def _header(name: str, description: str, max_length: int) -> Json:
    schema = {"type": "string", "maxLength": max_length}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _responses(route: Route[Any, Any], ref_of: dict[Any, Json]) -> Json:
    success: Json = {"description": route.summary}
    if route.answer is not None:
        success["content"] = {route.content_type: {"schema": ref_of[route.answer]}}
        if route.streams:
            success["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    elif route.status == 200:
        success["content"] = {route.content_type: {"schema": {"type": "string"}}}
    headers: Json = {}
    if route.method == "GET" and route.rate is not None:
        headers["ETag"] = {"schema": {"type": "string"}}
    elif route.method != "GET":
        headers[POSITION] = {"schema": {"type": "string"}}
    if headers:
        success["headers"] = headers
    responses: Json = {str(route.status): success}
    if route.method == "GET" and route.rate is not None:
        responses["304"] = {"description": "Nothing changed since the ETag of If-None-Match"}
    codes_of: dict[int, list[str]] = {}
    for code in sorted(route.codes):
        codes_of.setdefault(HTTP_STATUS[code], []).append(code)
    for status, codes in sorted(codes_of.items()):
        responses[str(status)] = _refusal(codes, ref_of[Problem])
    responses["default"] = {"$ref": "#/components/responses/Problem"}
    return responses


def _refusal(codes: list[str], schema: Json) -> Json:
    """`x-codes` are the values of `code`, for programs; the description names them for people."""
    refusal: Json = {
        "description": "; ".join(f"`{code}`: {TITLES[code]}" for code in codes),
        "content": {CONTENT_TYPE: {"schema": schema}},
        "x-codes": codes,
    }
    if RETRYABLE & {*codes}:
        refusal["headers"] = {"Retry-After": {"schema": {"type": "string"}}}
    return refusal


def _problem(schema: Json) -> Json:
    example = {
        "type": "urn:serai:problem:invalid",
        "title": "The request is not valid",
        "status": 400,
        "detail": "The body does not fit.",
        "code": "invalid",
        "request_id": "5f0c1d9a7e21-1b",
        "errors": [{"path": "title", "reason": "Expected `str` of length >= 3"}],
    }
    return {
        "description": "Any other failure, of HTTP itself too: 405, 413, 417, 431",
        "content": {CONTENT_TYPE: {"schema": schema, "example": example}},
    }
