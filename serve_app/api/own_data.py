"""All that is a member's: a copy of it to download, and its erasure."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from actors.account_messages import EraseAccount, ReadErasure, ReadExport, StartExport
from actors.messages import Reply
from actors.own_data import EXPORT_PATH
from actors.signed_link import is_good
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Erasure, Export
from storage.objects import export_key


class EraseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`password`: the account's own, once more. `erase_content`: the texts of posts and comments
    go too; else they stand without their author."""

    password: Annotated[str, Meta(max_length=256)]
    erase_content: bool = False


class LinkQuery(msgspec.Struct, frozen=True):
    """As given out with the link."""

    expires: Annotated[int, Meta(ge=0, le=1 << 40)]
    signature: Annotated[str, Meta(min_length=1, max_length=128)]


async def erase(call: Call[EraseBody, Nothing]) -> Reply:
    request = EraseAccount(call.caller, call.body.password, call.body.erase_content)
    return await call.backends.accounts_write(request)


async def read_erasure(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_read(ReadErasure(call.uuid("job_id")))


async def start_export(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_write(StartExport(call.caller))


async def read_export(call: Call[Nothing, Nothing]) -> Reply:
    return await call.backends.accounts_read(ReadExport(call.caller))


async def download(call: Call[Nothing, LinkQuery]) -> web.StreamResponse:
    job_id, query = call.uuid("job_id"), call.query
    settings = call.services.settings
    path, secret = f"{EXPORT_PATH}{job_id}", settings.auth.secret
    if not is_good(secret, path, query.expires, query.signature, time.time()):
        raise AppError("not_permitted", "The link is wrong or too old. Ask for another one.")
    objects, key = call.services.objects, export_key(job_id)
    if objects is None:
        raise AppError("unavailable", "This server keeps no files.")
    if await objects.size(key) is None:
        raise AppError("not_found", "The file is gone.")
    headers: dict[str, str] = {hdrs.CACHE_CONTROL: "private, no-store"}
    if objects.folder is None:
        shown = {"response-content-disposition": _DISPOSITION}
        method = call.request.method  # it is signed, and HEAD is another one
        headers[hdrs.LOCATION] = objects.presigned(method, key, _ADDRESS_SECONDS, query=shown)
        return web.Response(status=302, headers=headers)
    headers |= {hdrs.CONTENT_TYPE: _ZIP, hdrs.CONTENT_DISPOSITION: _DISPOSITION}
    return web.FileResponse(objects.file(key), headers=headers)


_ZIP: Final = "application/zip"
_DISPOSITION: Final = 'attachment; filename="serai-export.zip"'
# Of a bucket: the link was good just now.
_ADDRESS_SECONDS: Final = 60
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "DELETE", "/api/v1/me", erase,
        "End the account: sessions end at once, a job erases the rest", access="member",
        rate="login", body=EraseBody, answer=Erasure, status=202,
        refusals=("invalid_credentials",), tag="me",
    ),
    Route(
        "GET", "/api/v1/erasures/{job_id}", read_erasure,
        "How far an erasure is; nobody can log in any more, so the id is the key", access="open",
        rate="read", answer=Erasure, tag="me",
    ),
    Route(
        "POST", "/api/v1/me/export", start_export,
        "Have a ZIP of all that is the caller's made; the newest answers for an hour",
        access="member", rate="write", answer=Export, status=202, refusals=("suspended",), tag="me",
    ),
    Route(
        "GET", "/api/v1/me/export", read_export,
        "How far the export is, and in the end a link, good for 15 minutes", access="member",
        rate="read", answer=Export, refusals=("not_found", "suspended"), tag="me",
    ),
    Route(
        "GET", f"{EXPORT_PATH}{{job_id}}", download, "The ZIP, by its link", access="signed",
        rate="read", query=LinkQuery, content_type=_ZIP, refusals=("not_permitted",), tag="me",
    ),
)  # fmt: skip
