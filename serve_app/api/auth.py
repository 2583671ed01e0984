"""Register, log in, refresh, log out. The refresh token lives in a cookie that only these see."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import hdrs
from msgspec import Meta

from actors.account_messages import Login, Logout, Refresh, Register, Tokens
from actors.messages import GUEST, Caller, Reply
from config.errors import AppError
from serve_app.api.call import Call
from serve_app.api.fields import Email, Handle, Languages, Password, RefreshToken
from serve_app.api.fields import Login as LoginName
from serve_app.api.route import Nothing, Route
from serve_app.api.schemas import Session

_COOKIE_PATH: Final = "/api/v1/auth"
_USER_AGENT_CHARACTERS: Final = 200
_decode: Final = msgspec.json.Decoder(Tokens).decode
_encode: Final = msgspec.json.Encoder().encode


class RegisterBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    handle: Handle
    email: Email
    password: Password
    languages: Languages = ()


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A password too short to be anybody's is a wrong one, not an invalid one."""

    login: LoginName
    password: Annotated[str, Meta(max_length=256)]


class RefreshBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_token: RefreshToken | None = None


class AuthQuery(msgspec.Struct, frozen=True):
    """`transport=body` also puts the refresh token into the body, for clients without cookies."""

    transport: Literal["cookie", "body"] = "cookie"


class _SessionAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    account: msgspec.Raw
    access_token: str
    expires_in: int
    refresh_token: str | None = None


async def register(call: Call[RegisterBody, AuthQuery]) -> Reply:
    body = call.body
    request = Register(body.handle, body.email, body.password, body.languages, _user_agent(call))
    reply = await call.backends.accounts_write(request)
    return _session(call, reply, in_body=call.query.transport == "body")


async def login(call: Call[LoginBody, AuthQuery]) -> Reply:
    request = Login(call.body.login, call.body.password, _user_agent(call))
    reply = await call.backends.accounts_write(request)
    return _session(call, reply, in_body=call.query.transport == "body")


async def refresh(call: Call[RefreshBody, AuthQuery]) -> Reply:
    token = _refresh_token(call)
    if token is None:
        raise AppError("unauthenticated", "There is no refresh token in the body or a cookie.")
    try:
        reply = await call.backends.accounts_write(Refresh(token, _user_agent(call)))
    except AppError as error:
        if error.status == 401 and call.body.refresh_token is None:
            _set_cookie(call, "", 0)
        raise
    in_body = call.query.transport == "body" or call.body.refresh_token is not None
    return _session(call, reply, in_body=in_body)


async def logout(call: Call[RefreshBody, Nothing]) -> Reply:
    """Ends what the refresh token names, and what the access token names. One of them suffices: the
    access token may have expired long ago, and the cookie may be a stranger's or an old one."""
    token = _refresh_token(call)
    try:
        caller = _caller(call)
    except AppError:
        if token is None:
            raise
        caller = GUEST
    await call.backends.accounts_write(Logout(caller, token))
    _set_cookie(call, "", 0)
    return Reply(status=204)


def _caller(call: Call[Any, Any]) -> Caller:
    scheme, _, token = call.request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AppError("unauthenticated", "There is no session to end.")
    return call.services.verify_token(token.strip())[0]


def _refresh_token(call: Call[RefreshBody, Any]) -> str | None:
    """From the body, else from the cookie. Raises AppError `not_permitted` for a cookie that a page
    of another origin made the browser send: SameSite tells neither ports nor subdomains apart."""
    if call.body.refresh_token is not None:
        return call.body.refresh_token
    token = _cookie_token(call)
    if token is not None and not call.services.headers.is_trusted_origin(call.request):
        raise AppError("not_permitted", "Pages of this origin may not use the cookie.")
    return token


def _session(call: Call[Any, Any], reply: Reply, *, in_body: bool) -> Reply:
    tokens = _decode(reply.body)
    days = call.services.settings.auth.refresh_token_days
    _set_cookie(call, tokens.refresh_token, days * 86_400)
    answer = _SessionAnswer(
        tokens.account,
        tokens.access_token,
        tokens.expires_in,
        tokens.refresh_token if in_body else None,
    )
    return Reply(status=reply.status, body=_encode(answer), position=reply.position)


def cookie_name(port: int) -> str:
    # Cookies ignore the port: two servers on one host would overwrite each other's.
    return f"serai_refresh_{port}"


def _cookie_name(call: Call[Any, Any]) -> str:
    return cookie_name(call.services.settings.gateway.port)


def _cookie_token(call: Call[Any, Any]) -> str | None:
    token = call.request.cookies.get(_cookie_name(call))
    return token if token and len(token) <= 512 and token.isascii() else None


def _set_cookie(call: Call[Any, Any], token: str, max_age_seconds: int) -> None:
    parts = [
        f"{_cookie_name(call)}={token}",
        f"Path={_COOKIE_PATH}",
        f"Max-Age={max_age_seconds}",
        "HttpOnly",
        "SameSite=Strict",
    ]
    if call.services.addresses.is_https(call.request):
        parts.append("Secure")
    call.headers.add(hdrs.SET_COOKIE, "; ".join(parts))


def _user_agent(call: Call[Any, Any]) -> str:
    """What a member sees in the list of sessions: printable, without what a database refuses."""
    agent = call.request.headers.get(hdrs.USER_AGENT, "")[:_USER_AGENT_CHARACTERS]
    return "".join(c if c.isprintable() else "?" for c in agent)


_P: Final = "/api/v1/auth"
ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    Route(
        "POST", f"{_P}/register", register, "Create an account", access="open", rate="register",
        body=RegisterBody, query=AuthQuery, answer=Session, status=201,
        refusals=("conflict",), tag="auth",
    ),
    Route(
        "POST", f"{_P}/login", login, "Log in", access="open", rate="login", body=LoginBody,
        query=AuthQuery, answer=Session, login_of=lambda body: body.login,
        refusals=("invalid_credentials", "suspended"), tag="auth",
    ),
    Route(
        "POST", f"{_P}/refresh", refresh, "Exchange the refresh token for a new pair",
        access="open", rate="write", body=RefreshBody, body_optional=True, query=AuthQuery,
        answer=Session, credentials=("refreshCookie",),
        refusals=("unauthenticated", "suspended", "not_permitted"), tag="auth",
    ),
    Route(
        "POST", f"{_P}/logout", logout, "End the session", access="open", rate="write",
        body=RefreshBody, body_optional=True, status=204,
        credentials=("refreshCookie", "bearer"),
        refusals=("unauthenticated", "token_expired", "not_permitted"), tag="auth",
    ),
)  # fmt: skip
