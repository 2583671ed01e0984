"""Bodies and query strings into structs; whatever is wrong with them becomes `invalid`."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec
from multidict import MultiMapping

from config.errors import AppError

T = TypeVar("T")

_AT_PATH: Final = re.compile(r" - at `\$?\.?(.*?)`$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.+?)`$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.{1,100}?)`$", re.DOTALL)
_REASON_CHARACTERS: Final = 300


def decode_body(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    """Raises AppError `invalid` naming the field; never echoes what the client sent in it. Fields
    that nobody knows are refused: a misspelt `parent_id` would post to the wrong place."""
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), "The body does not fit.") from None
    except UnicodeDecodeError:
        raise AppError("invalid", "The body is not valid UTF-8.") from None
    except RecursionError:
        raise AppError("invalid", "The body is nested too deeply.") from None
    except msgspec.DecodeError:
        raise AppError("invalid", "The body is not valid JSON.") from None
    # Postgres cannot store U+0000: one such character would fail a whole batch of writes. Only
    # bodies that may hold one, escaped or plain, are walked.
    if b"\\u0000" in raw or b"\0" in raw:
        _refuse_nul(value, "")
    return value


def decode_query(kind: type[T], query: MultiMapping[str]) -> T:
    """Unknown parameters are ignored: newer clients and proxies add their own."""
    given = _given(kind, query)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), "The query does not fit.") from None


def _given(kind: type[Any], query: MultiMapping[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name in kind.__struct_encode_fields__:
        values = query.getall(name, [])
        if len(values) > 1:
            raise AppError("invalid", "The query does not fit.", errors=((name, "given twice"),))
        if values and values[0] != "":
            given[name] = checked_text(values[0], name)
    return given


def checked_text(text: str, path: str) -> str:
    """`text`, unless it holds U+0000 or a lone surrogate (the mark of bytes that are not UTF-8)."""
    if "\0" in text:
        raise AppError("invalid", "Text must not hold U+0000.", errors=((path, "holds U+0000"),))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise AppError(
            "invalid", "Text must be valid UTF-8.", errors=((path, "is not valid UTF-8"),)
        ) from None
    return text


def _refuse_nul(value: object, path: str) -> None:
    if isinstance(value, str):
        checked_text(value, path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _refuse_nul(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_nul(item, f"{path}[{index}]")


def _invalid(message: str, detail: str) -> AppError:
    path, reason = "", message
    if found := _AT_PATH.search(message):
        path, reason = found[1], message[: found.start()]
    if missing := _MISSING.match(reason):
        path, reason = f"{path}.{missing[1]}" if path else missing[1], "is required"
    elif unknown := _UNKNOWN.match(reason):
        path, reason = f"{path}.{unknown[1]}" if path else unknown[1], "is unknown"
    return AppError("invalid", detail, errors=((path, reason[:_REASON_CHARACTERS]),))
