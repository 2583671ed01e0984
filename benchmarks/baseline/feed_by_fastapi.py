"""Baseline of bar 5: the feed page by FastAPI, SQLAlchemy and Pydantic, from the same tables.

`.tools/baseline/bin/python feed_by_fastapi.py PORT POSTGRES_URL`: it runs in an environment of its
own (requirements-baseline.lock) and imports nothing of this project. uvloop, httptools, a pool of
asyncpg connections, author and stream loaded in the same queries.
"""

# What the other environment holds is unknown to a type checker here.
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, PlainSerializer
from sqlalchemy import ARRAY, ForeignKey, Text, and_, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    contains_eager,
    foreign,
    joinedload,
    mapped_column,
    relationship,
)

POOL = 16


class Base(DeclarativeBase):
    pass


class Incarnation(Base):
    __tablename__ = "incarnation"
    id: Mapped[bool] = mapped_column(primary_key=True)
    epoch: Mapped[str]


class Stream(Base):
    __tablename__ = "stream"
    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    top_offset: Mapped[int]


class Country(Base):
    __tablename__ = "country"
    id: Mapped[int] = mapped_column(primary_key=True)
    alpha2: Mapped[str]


class Account(Base):
    __tablename__ = "account"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    handle: Mapped[str]
    display_name: Mapped[str]


class Community(Base):
    __tablename__ = "community"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    country_id: Mapped[int]
    slug: Mapped[str]
    visibility: Mapped[str]
    stream_id: Mapped[int] = mapped_column(ForeignKey("stream.id"))
    stream: Mapped[Stream] = relationship()


class Post(Base):
    __tablename__ = "post"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    country_id: Mapped[int] = mapped_column(primary_key=True)
    community_id: Mapped[UUID]
    visa_type: Mapped[str | None]
    author_id: Mapped[UUID]
    title: Mapped[str]
    body_markdown: Mapped[str]
    body_html: Mapped[str]
    language: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    up: Mapped[int]
    down: Mapped[int]
    score: Mapped[int]
    hot: Mapped[float]
    comment_count: Mapped[int]
    accepted_comment_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    locked: Mapped[bool]
    pinned: Mapped[bool]
    deleted_at: Mapped[datetime | None]
    author: Mapped[Account] = relationship(
        primaryjoin=lambda: foreign(Post.author_id) == Account.id, viewonly=True
    )


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str)]


class AuthorOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    handle: str
    display_name: str


class PostOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    community_id: UUID
    country: str | None = None
    visa_type: str | None
    author: AuthorOut
    title: str
    body_markdown: str
    body_html: str
    language: str
    tags: list[str]
    up: int
    down: int
    score: int
    comment_count: int
    created_at: Time
    edited_at: Time | None
    locked: bool
    pinned: bool
    accepted_comment_id: UUID | None
    deleted: bool = False


class StreamOut(BaseModel):
    channel: str
    epoch: str
    offset: int


class PageOut(BaseModel):
    items: list[PostOut]
    next_cursor: str | None
    stream: StreamOut


class Known:
    """What never changes while the server runs."""

    epoch: str
    countries: dict[int, str]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = sys.argv[2].replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with app.state.sessions() as session:
        Known.epoch = (await session.scalars(select(Incarnation.epoch))).one()
        Known.countries = {c.id: c.alpha2 for c in await session.scalars(select(Country))}
    print("ready", flush=True)
    yield
    await engine.dispose()


# No ORJSONResponse: FastAPI calls it deprecated and writes a response model faster without it.
app = FastAPI(lifespan=_lifespan)


async def _session() -> AsyncIterator[AsyncSession]:
    async with app.state.sessions() as session:
        yield session


@app.get("/api/v1/communities/{slug}/feed", response_model=PageOut)
async def feed(
    slug: str,
    session: Annotated[AsyncSession, Depends(_session)],
    sort: str = "hot",
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> Any:
    community = (
        await session.scalars(
            select(Community)
            .join(Community.stream)
            .options(contains_eager(Community.stream))
            .where(Community.slug == slug)
        )
    ).one_or_none()
    if community is None or community.visibility != "public" or sort != "hot":
        raise HTTPException(404)
    posts = (
        await session.scalars(
            select(Post)
            .options(joinedload(Post.author, innerjoin=True))
            .where(
                and_(
                    Post.country_id == community.country_id,
                    Post.community_id == community.id,
                    Post.deleted_at.is_(None),
                )
            )
            .order_by(Post.pinned.desc(), Post.hot.desc(), Post.id.desc())
            .limit(limit + 1)
        )
    ).all()
    shown = posts[:limit]
    items = [PostOut.model_validate(post) for post in shown]
    for item in items:
        item.country = Known.countries.get(community.country_id)
    cursor = None
    if len(posts) > limit:
        last = shown[-1]
        cursor = base64.urlsafe_b64encode(
            orjson.dumps([last.pinned, last.hot, str(last.id)])
        ).decode()
    stream = StreamOut(
        channel=community.stream.channel, epoch=Known.epoch, offset=community.stream.top_offset
    )
    return PageOut(items=items, next_cursor=cursor, stream=stream)


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
