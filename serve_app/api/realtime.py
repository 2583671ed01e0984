"""The realtime side over HTTP: subscription tokens, and the server API for programs."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from actors.account_messages import AuthorizeChannel
from actors.messages import Reply
from config.channels import Namespaces, is_internal, users_of
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.endpoint import read_raw
from serve_app.api.route import Nothing, Route
from serve_app.gateway.client_tokens import SUBSCRIPTION_TOKEN_SECONDS, issue_subscription_token
from serve_app.gateway.server_api import ServerApi

_encode: Final = msgspec.json.Encoder().encode


class TokenQuery(msgspec.Struct, frozen=True):
    channel: Annotated[str, Meta(min_length=1, max_length=1_024)]


class SubscriptionTokenPage(msgspec.Struct, frozen=True):
    """`expires_in` in seconds."""

    token: str
    expires_in: int


async def subscription_token(call: Call[Nothing, TokenQuery]) -> Reply:
    channel = call.query.channel
    await _check_right(call, channel)
    secret, user = call.services.settings.auth.secret, str(call.caller.account_id)
    token, _ = issue_subscription_token(secret, user, channel, time.time())
    return Reply(body=_encode(SubscriptionTokenPage(token, SUBSCRIPTION_TOKEN_SECONDS)))


async def _check_right(call: Call[Nothing, TokenQuery], channel: str) -> None:
    """Raises AppError. What needs a token by its namespace, or by its `$`, needs one of the
    operator's own: Serai has no rule for these."""
    settings = call.services.settings
    row = Namespaces(settings.channels).of(channel)
    if row is None or is_internal(channel):
        raise AppError("not_found", "There is no such namespace.")
    if row.subscribe == "content":
        await call.backends.accounts_read(AuthorizeChannel(call.caller, channel))
        return
    users = users_of(channel)
    if users is not None and not (row.user_limited and str(call.caller.account_id) in users):
        raise AppError("not_permitted", "This channel is for other users.")
    if channel.startswith("$") or (row.subscribe == "token" and users is None):
        raise AppError("not_permitted", "The application that owns this channel issues its tokens.")


async def server_api(call: Call[Nothing, Nothing]) -> web.Response:
    answer = call.services.server_api
    assert answer is not None, "without a server API nobody has access"
    _, _, method = call.request.path.rpartition("/")
    body = await answer(method, await read_raw(call.request))
    headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(body=body, headers=headers)


ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "GET", "/api/v1/realtime/token", subscription_token,
        "Subscription token for a channel that the caller may read", access="member",
        rate="subscribe", query=TokenQuery, answer=SubscriptionTokenPage,
        refusals=("not_found", "not_permitted", "suspended"), tag="realtime",
    ),
    *(
        Route("POST", f"/api/{method}", server_api, "Server API", access="api_key", hidden=True)
        for method in ServerApi.METHODS
    ),
)  # fmt: skip
