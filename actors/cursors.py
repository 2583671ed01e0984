"""Opaque page cursors: a typed value, bound to the listing it was made for.

Form: base64url(kind byte, CRC-32 of (kind, scope, payload), MessagePack payload), no padding.
The checksum finds damaged and foreign cursors; it is no signature. A cursor holds nothing that
its reader may not see and grants nothing, but a forged one may hold any value of its type: state
bounds in the type (`Annotated[int, msgspec.Meta(ge=…, le=…)]`) where SQL has narrower ones.
"""

from __future__ import annotations

import base64
import binascii
import enum
import zlib
from typing import Any, Final, NoReturn, TypeVar, overload

import msgspec

from config.errors import AppError

T = TypeVar("T")

# Below every server's limit for a URL; the longest real cursor (a comment 12 deep) has 500.
MAX_CURSOR_CHARACTERS: Final = 4096
_HEADER_BYTES: Final = 5
_encoder: Final = msgspec.msgpack.Encoder(uuid_format="bytes")


class CursorKind(enum.IntEnum):
    """The listing a cursor belongs to. Values are part of what clients hold: never reuse one."""

    COMMUNITY_FEED = 1
    HOME_FEED = 2
    COMMENTS = 3
    COMMUNITIES = 4
    POST_HISTORY = 5
    COMMENT_HISTORY = 6
    NOTIFICATIONS = 7
    MEMBER_POSTS = 8
    # 20 and up: what members keep for themselves.
    DRAFTS = 20
    SAVES = 21
    MUTED_ACCOUNTS = 22
    MUTED_COMMUNITIES = 23
    # 40 and up: who is in a community, and who wants to be.
    MEMBERS = 40
    INVITED = 41
    JOIN_REQUESTS = 42
    OWN_INVITATIONS = 43
    COMMUNITY_LOG = 44
    # 60 and up: what is said about content, and guides.
    GUIDES = 60
    GUIDE_HISTORY = 61
    SIGNALS = 62
    SEARCH = 70
    # 80 and up: visa tools.
    TIMELINES = 80
    CHECKLISTS = 81
    BEGUN_CHECKLISTS = 82
    OFFICIAL_LINKS = 83


def encode_cursor(kind: CursorKind, scope: str, value: object) -> str:
    """`scope` names what else must be equal on the next request (community, sort, window …); it
    is mixed into the checksum and not carried. `value`: anything MessagePack holds, e.g. a tuple.
    """
    payload = _encoder.encode(value)
    return _text(bytes((kind,)) + _checksum(kind, scope, payload) + payload)


@overload
def decode_cursor(kind: CursorKind, scope: str, text: str, type: type[T]) -> T: ...
@overload  # tuple[…] and Annotated[…] are no classes to a type checker
def decode_cursor(kind: CursorKind, scope: str, text: str, type: Any) -> Any: ...
def decode_cursor(kind: CursorKind, scope: str, text: str, type: Any) -> Any:
    """Raises AppError `invalid` with the path `cursor` for anything that `encode_cursor` did not
    make for this very kind and scope, or whose value is not of `type`."""
    if len(text) > MAX_CURSOR_CHARACTERS:
        _refuse("too long")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        _refuse("malformed")
    if len(raw) < _HEADER_BYTES or _text(raw) != text:  # one value, one spelling
        _refuse("malformed")
    if raw[0] != kind:
        _refuse("made for another listing")
    payload = raw[_HEADER_BYTES:]
    if raw[1:_HEADER_BYTES] != _checksum(kind, scope, payload):
        _refuse("damaged, or made for another listing or order")
    try:
        return msgspec.msgpack.decode(payload, type=type)
    except (msgspec.MsgspecError, RecursionError):
        _refuse("malformed")


def _checksum(kind: CursorKind, scope: str, payload: bytes) -> bytes:
    seed = zlib.crc32(scope.encode("utf-8"), kind)
    return zlib.crc32(payload, seed).to_bytes(4, "big")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _refuse(reason: str) -> NoReturn:
    raise AppError(
        "invalid", "The cursor does not belong to this listing.", errors=(("cursor", reason),)
    )
