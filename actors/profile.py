"""The caller's own account: reading it and its settings."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from actors.account_fields import LANGUAGE_PATTERN, clean_display_name
from actors.account_messages import ReadMe
from actors.member_messages import UpdateMe
from actors.messages import Reply
from actors.pages import member
from config.errors import AppError
from storage import accounts
from storage.accounts import Account
from storage.postgres import Connection, Pool, acquire, in_transaction_at
from storage.stream_writer import rfc3339

_encode: Final = msgspec.json.encode
_LANGUAGE: Final = re.compile(LANGUAGE_PATTERN, re.ASCII)


class Profile:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, request: ReadMe) -> Reply:
        account_id = member(request.caller)
        async with acquire(self._pool) as connection:
            account = await accounts.find(connection, account_id)
        if account is None:
            raise accounts.no_account()
        account.require_active()
        return Reply(body=_encode(_shown(account)))

    async def update(self, request: UpdateMe) -> Reply:
        """Access tokens, and what is written with them, carry the old name until a refresh."""
        account_id = member(request.caller)
        name = request.display_name
        if name is not None:
            name = clean_display_name(name)
            if name is None:
                fault = ("display_name", "is not 1 to 60 visible characters")
                raise AppError("invalid", "This is no name.", errors=(fault,))
        languages = request.languages
        if languages is not None:
            languages = tuple(dict.fromkeys(languages))
            for place, language in enumerate(languages):
                if _LANGUAGE.fullmatch(language) is None:
                    fault = (f"languages[{place}]", "is not a BCP 47 language tag")
                    raise AppError("invalid", "This is no language.", errors=(fault,))

        async def work(connection: Connection) -> Account:
            return await accounts.update_settings(
                connection, account_id, name, languages, request.default_follow_level
            )

        account, position = await in_transaction_at(self._pool, work)
        return Reply(200, _encode(_shown(account)), position)


def _shown(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "handle": account.handle,
        "display_name": account.display_name,
        "email": account.email,
        "languages": account.languages,
        "default_follow_level": account.default_follow_level,
        "role": account.role,
        "created_at": rfc3339(account.created_at),
    }
