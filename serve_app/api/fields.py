"""The limits of what a client may send: checked when decoding, shown in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta

from actors.account_fields import (
    HANDLE_PATTERN,
    LANGUAGE_PATTERN,
    MAX_DISPLAY_NAME_CHARACTERS,
    MAX_EMAIL_CHARACTERS,
    MAX_LANGUAGE_CHARACTERS,
    MAX_LANGUAGES,
)
from actors.feed_messages import FeedSort, FeedWindow
from actors.messages import CommentSort

__all__ = ["UUID", "CommentSort", "FeedSort", "FeedWindow"]

# The end of the text in Python and in ECMAScript; `$` lets a newline through.
_END: Final = r"(?![\s\S])"
Handle = Annotated[
    str, Meta(pattern=f"^{HANDLE_PATTERN}{_END}", max_length=30, examples=["amina_k"])
]
Email = Annotated[
    str,
    Meta(
        pattern=rf"^[^@\s]{{1,64}}@[^@\s]{{1,189}}{_END}",
        max_length=MAX_EMAIL_CHARACTERS,
        examples=["a@mail.org"],
    ),
]
Password = Annotated[str, Meta(min_length=10, max_length=256)]
Login = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_EMAIL_CHARACTERS, description="Handle or e-mail address"),
]
RefreshToken = Annotated[str, Meta(min_length=1, max_length=512)]
Language = Annotated[
    str,
    Meta(
        pattern=f"^{LANGUAGE_PATTERN}{_END}",
        max_length=MAX_LANGUAGE_CHARACTERS,
        description="BCP 47",
        examples=["de", "pt-BR"],
    ),
]
LanguageList = Annotated[
    str,
    Meta(
        pattern=f"^{LANGUAGE_PATTERN}(?:,{LANGUAGE_PATTERN}){{0,{MAX_LANGUAGES - 1}}}{_END}",
        max_length=MAX_LANGUAGES * (MAX_LANGUAGE_CHARACTERS + 1),
        description="BCP 47, separated by commas; `pt` stands for `pt-BR` too",
        examples=["de,pt-BR"],
    ),
]
Country = Annotated[
    str,
    Meta(pattern=rf"^[A-Za-z]{{2}}{_END}", description="ISO 3166-1 alpha-2", examples=["DE"]),
]
# Of what is written down: one country, one spelling.
CountryCode = Annotated[
    str, Meta(pattern=f"^[A-Z]{{2}}{_END}", description="ISO 3166-1 alpha-2", examples=["DE"])
]
Month = Annotated[str, Meta(pattern=f"^[0-9]{{4}}-(?:0[1-9]|1[0-2]){_END}", examples=["2026-03"])]
VisaType = Annotated[str, Meta(min_length=1, max_length=60, examples=["student"])]
# A community by id or slug.
CommunityKey = Annotated[str, Meta(min_length=1, max_length=100, examples=["de-student"])]

GroupName = Annotated[str, Meta(min_length=3, max_length=80)]
Rules = Annotated[str, Meta(max_length=10_000, description="Markdown")]
JoinMessage = Annotated[str, Meta(max_length=500)]

Title = Annotated[str, Meta(min_length=3, max_length=300)]
PostText = Annotated[str, Meta(max_length=40_000, description="Markdown")]
CommentText = Annotated[str, Meta(min_length=1, max_length=10_000, description="Markdown")]
Tag = Annotated[str, Meta(min_length=1, max_length=40)]
Tags = Annotated[tuple[Tag, ...], Meta(max_length=10)]
Languages = Annotated[tuple[Language, ...], Meta(max_length=MAX_LANGUAGES)]
Reason = Annotated[str, Meta(min_length=1, max_length=300)]
PollQuestion = Annotated[str, Meta(max_length=300)]
PollOptionText = Annotated[str, Meta(min_length=1, max_length=100)]
PollOptions = Annotated[tuple[PollOptionText, ...], Meta(min_length=2, max_length=10)]
PollPlace = Annotated[int, Meta(ge=0, le=9, description="Of an option, from 0")]
PollPlaces = Annotated[tuple[PollPlace, ...], Meta(max_length=10)]
Revision = Annotated[int, Meta(ge=1, le=2**31 - 1)]
# Of all comments above the deepest one.
Context = Annotated[int, Meta(ge=0, le=12)]
VoteValue = Literal[-1, 0, 1]
FollowLevel = Annotated[
    Literal["all", "mentions", "none"],
    Meta(
        description="`all`: everything new, by one notification until it is read; `mentions`:"
        " mentions and direct replies; `none`: nothing at all"
    ),
]
DisplayName = Annotated[str, Meta(min_length=1, max_length=MAX_DISPLAY_NAME_CHARACTERS)]

Limit = Annotated[int, Meta(ge=1, le=100)]
CommentLimit = Annotated[int, Meta(ge=1, le=500)]
Cursor = Annotated[str, Meta(min_length=1, max_length=2048, description="Opaque: `next_cursor`")]
SearchText = Annotated[str, Meta(max_length=200)]
