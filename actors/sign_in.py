"""Registering, logging in, refreshing and logging out: everything that makes or ends a session."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.access_token import sign
from actors.account_fields import MAX_EMAIL_CHARACTERS
from actors.account_messages import Login, Logout, Refresh, Register, Tokens
from actors.messages import Caller, Reply
from actors.passwords import Passwords
from actors.refresh_token import RefreshToken, RefreshTokens, judge
from actors.registration import faults
from config.errors import AppError
from config.settings import Auth
from storage import accounts, sessions
from storage.accounts import Account
from storage.identity import NO_COUNTRY, new_id
from storage.postgres import Connection, Pool, acquire, in_transaction, in_transaction_at
from storage.stream_writer import Appended, rfc3339

_encode: Final = msgspec.json.encode


class SignIn:
    """`publish` takes events that are committed."""

    def __init__(
        self,
        pool: Pool,
        settings: Auth,
        secret: str,
        passwords: Passwords,
        publish: Callable[[Sequence[Appended]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._secret = secret
        self._passwords = passwords
        self._publish = publish
        self._clock = clock
        self._tokens = RefreshTokens(secret)

    async def register(self, request: Register) -> Reply:
        """Raises AppError `invalid` with every fault, `conflict` with what is taken.

        As long as no mail confirms addresses, that tells whoever asks which ones have an account;
        the limit of registrations is all that slows them.
        """
        email = request.email.strip()
        found = faults(request.handle, email, request.password, request.languages)
        if found:
            raise AppError("invalid", "The account can't be made like this.", errors=found)
        # Asked before the hash is made, which costs most, and decided by the unique indexes later.
        async with acquire(self._pool) as connection:
            taken = await accounts.taken(connection, request.handle, email)
        if taken:
            raise accounts.conflict(taken)
        password_hash = await self._passwords.hash(request.password)
        id, session_id = new_id(NO_COUNTRY), new_id(NO_COUNTRY)
        token = self._tokens.first(session_id)
        languages = tuple(dict.fromkeys(request.languages))

        async def work(connection: Connection) -> Account:
            account = await accounts.create(
                connection, id, request.handle, email, password_hash, languages
            )
            await self._open(connection, token, account, request.user_agent)
            return account

        account, position = await in_transaction_at(self._pool, work)
        return Reply(201, self._body(account, token), position)

    async def login(self, request: Login) -> Reply:
        """Raises AppError `invalid_credentials`, the same for a wrong password, an unknown login
        and an account that nobody has claimed; `suspended` only to those who know the password."""
        login = request.login.strip()
        account = None
        if len(login) <= MAX_EMAIL_CHARACTERS and login.isprintable():
            async with acquire(self._pool) as connection:
                account = await accounts.find_login(connection, login)
        if account is not None and account.standing == "deleted":
            account = None
        stored = None if account is None else account.password_hash
        verdict = await self._passwords.verify(stored, request.password)
        if account is None or stored is None or not verdict.right:
            raise AppError("invalid_credentials", "The login or the password is wrong.")
        account.require_active()
        renewed = await self._passwords.hash(request.password) if verdict.stale else None
        token = self._tokens.first(new_id(NO_COUNTRY))
        async with acquire(self._pool) as connection:
            if renewed is not None:
                await accounts.replace_password_hash(connection, account.id, stored, renewed)
            await self._open(connection, token, account, request.user_agent)
        return Reply(200, self._body(account, token))

    async def refresh(self, request: Refresh) -> Reply:
        """Raises AppError `unauthenticated` or `suspended`; a reused token ends its session."""
        token = self._tokens.read(request.refresh_token)
        if token is None:
            raise _no_session()
        successor = self._tokens.successor(token)
        async with acquire(self._pool) as connection:
            account_id = await sessions.rotate(
                connection,
                token.session_id,
                token.hash,
                successor.hash,
                request.user_agent,
                self._settings.refresh_token_days,
            )
            if account_id is None:
                account_id = await self._judged(connection, token, successor)
            account = None
            if account_id is not None:
                account = await accounts.find(connection, account_id)
        if account_id is None:
            await self._end(token.session_id, "reuse")
            raise AppError(
                "unauthenticated", "This session was ended: an old refresh token was used again."
            )
        if account is None:
            raise accounts.no_account()
        account.require_active()
        return Reply(200, self._body(account, successor))

    async def logout(self, request: Logout) -> Reply:
        """Ends the session of the caller and that of the refresh token, where there are any.

        Idempotent: a session that is not there, or has ended, is answered alike.
        """
        ending: set[UUID] = set()
        if request.caller.session_id is not None:
            ending.add(request.caller.session_id)
        if request.refresh_token is not None:
            token = self._tokens.read(request.refresh_token)
            if token is not None and await self._is_ours(token):
                ending.add(token.session_id)
        for session_id in ending:
            await self._end(session_id, "logout")
        return Reply(204)

    async def _judged(
        self, connection: Connection, token: RefreshToken, successor: RefreshToken
    ) -> UUID | None:
        """The account of a repeated token, None of a reused one; raises for the others."""
        session = await sessions.find(connection, token.session_id)
        judgement = judge(session, token, successor, self._settings.reuse_grace_seconds)
        if session is None or judgement == "unknown":
            raise _no_session()
        if judgement == "reused":
            return None
        if judgement == "over":
            account = await accounts.find(connection, session.account_id)
            if account is not None:
                account.require_active()
            raise _no_session()
        return session.account_id

    async def _is_ours(self, token: RefreshToken) -> bool:
        if token.genuine:
            return True
        async with acquire(self._pool) as connection:
            session = await sessions.find(connection, token.session_id)
        return session is not None and token.hash in (session.token_hash, session.previous_hash)

    async def _open(
        self, connection: Connection, token: RefreshToken, account: Account, user_agent: str
    ) -> None:
        opened = await sessions.open_session(
            connection,
            token.session_id,
            account.id,
            token.hash,
            user_agent,
            self._settings.refresh_token_days,
        )
        if not opened:
            raise AppError("suspended", "This account is suspended.")

    async def _end(self, session_id: UUID, reason: sessions.EndReason) -> None:
        event = await in_transaction(
            self._pool, lambda connection: sessions.end_session(connection, session_id, reason)
        )
        if event is not None:
            self._publish([event])

    def _body(self, account: Account, token: RefreshToken) -> bytes:
        ttl = self._settings.access_token_seconds
        caller = Caller(
            account.id, account.handle, account.display_name, account.role, token.session_id
        )
        shown = {
            "id": account.id,
            "handle": account.handle,
            "display_name": account.display_name,
            "languages": account.languages,
            "created_at": rfc3339(account.created_at),
        }
        access_token = sign(caller, self._secret, self._clock(), ttl)
        return _encode(Tokens(msgspec.Raw(_encode(shown)), access_token, ttl, token.text))


def _no_session() -> AppError:
    return AppError("unauthenticated", "There is no such session, or it has ended.")
