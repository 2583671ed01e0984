"""The plain classes that become Serve deployments and Ray actors (serve_app/app.py wraps them).

Each owns its pools and one actor object, and speaks bytes: a msgpack batch in, outcomes out, over
the lines of lines.py. They stay undecorated, because a decorated class is pickled by value and its
module's globals twice. Serve awaits `__init__` and `__del__`, which mypy can't know. Each imports
its own parts when it starts: all of them together cost every process seconds of start-up.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import msgspec

from config.settings import Settings
from serve_app.collector import relax_collector
from serve_app.lines import Address, Handle, LineServer, line_key
from serve_app.shard_client import ShardClient, ShardPublisher, shard_name
from storage.postgres import connect

if TYPE_CHECKING:
    from actors.community import CommunityShard
    from actors.job_table import WorkerKind
    from serve_app.batched_handle import Send
    from serve_app.llm_client import LlmClient
    from storage.postgres import Pool

# Of workers: where processors are short, people who wait come before jobs.
_BEHIND_THE_LIVE: Final = 10

encode: Final = msgspec.msgpack.Encoder().encode


def app_name(deployment: str) -> str:
    """Each deployment is a Serve application of its own."""
    return f"serai-{deployment}"


def handle_of(deployment: str) -> Any:
    from ray import serve

    return serve.get_deployment_handle(deployment, app_name(deployment))


def start_logging(settings: Settings) -> None:
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def sender_of(settings: Settings, deployment: str) -> Send:
    """Calls one of its replicas over a line."""
    from serve_app.deployment_lines import DeploymentLines, asks_serve, most_replicas

    size = getattr(settings.deployments, deployment)
    ask = asks_serve(handle_of(deployment))
    key = line_key(settings.auth.secret, deployment)
    return DeploymentLines(ask, key, most_replicas(size)).send


def open_publisher(settings: Settings) -> ShardPublisher:
    return ShardPublisher(ShardClient(settings.auth.secret), settings.shards.count)


async def open_line_server(settings: Settings, callee: str, handle: Handle) -> LineServer:
    import ray

    server = LineServer(handle, line_key(settings.auth.secret, callee))
    await server.start(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return server


class CalledDeployment:
    """Serve says where a replica listens; its calls come over lines, which Serve does not count."""

    _server: LineServer

    async def _listen(
        self,
        settings: Settings,
        name: str,
        request: Any,
        answer: Callable[[list[Any]], Awaitable[Any]],
    ) -> None:
        """Calls are batches of that type of requests, answered together. `name`: of the
        deployment."""
        decode = msgspec.msgpack.Decoder(list[request]).decode

        async def handle(payload: bytes) -> bytes:
            return encode(await answer(decode(payload)))

        self._server = await open_line_server(settings, name, handle)

    async def line(self) -> Address:
        return self._server.address

    async def check_health(self) -> None:
        """By the loop that does the work: Serve replaces a replica whose loop hangs, which its
        kernel hides from callers."""

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"calls": self._server.ongoing}


class ThreadDeployment(CalledDeployment):
    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.messages import ThreadRequest
        from actors.thread import Thread
        from storage.directory import Directory
        from storage.replicas import open_readers

        start_logging(settings)
        self._pool = await connect(
            settings.postgres.url,
            settings.postgres,
            application_name="thread",
            keeps_session=True,
        )
        self._publisher = open_publisher(settings)
        self._readers = await open_readers(
            settings.postgres, application_name="thread reads", keeps_session=True
        )
        self._thread = Thread(
            self._pool,
            Directory(self._pool),
            self._publisher,
            readers=self._readers,
            can_translate=settings.llm.can_translate,
        )
        await self._thread.warm_up(settings.postgres.pool_size)
        await self._listen(settings, "thread", ThreadRequest, self._thread.handle_batch)
        relax_collector()

    async def __del__(self) -> None:
        await self._server.close()
        await self._publisher.close()
        await self._readers.close()
        await self._pool.close()


class FeedDeployment(CalledDeployment):
    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.feed import Feed
        from actors.public_messages import PublicRead
        from storage.directory import Directory
        from storage.feed_orders import FeedOrders
        from storage.redis import RedisGuard, open_redis
        from storage.replicas import open_readers

        start_logging(settings)
        self._readers = await open_readers(settings.postgres, application_name="feed")
        primary = self._readers.primary
        self._redis = RedisGuard(open_redis(settings.redis.url))
        self._redis.start()
        self._feed = Feed(
            primary,
            Directory(primary),
            readers=self._readers,
            orders=FeedOrders(self._redis),
            guides=settings.guides,
            links=settings.official_links,
        )
        await self._listen(settings, "feed", PublicRead, self._feed.handle_batch)
        relax_collector()

    async def __del__(self) -> None:
        await self._server.close()
        await self._redis.close()
        await self._readers.close()


class AccountsDeployment(CalledDeployment):
    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.accounts import Accounts
        from actors.media.library import Library
        from actors.people_messages import PeopleRequest
        from storage.objects import objects_of

        start_logging(settings)
        self._pool = await connect(
            settings.postgres.url, settings.postgres, application_name="accounts"
        )
        self._publisher = open_publisher(settings)
        secret = settings.auth.secret
        self._accounts = Accounts(
            self._pool,
            settings.auth,
            secret,
            self._publisher.publish,
            library=Library(self._pool, objects_of(settings), settings.media, secret),
        )
        await self._listen(settings, "accounts", PeopleRequest, self._accounts.handle_batch)
        relax_collector()

    async def __del__(self) -> None:
        await self._server.close()
        self._accounts.close()
        await self._publisher.close()
        await self._pool.close()


class RateLimitDeployment(CalledDeployment):
    """One replica: it owns every bucket, a second one would double the limits."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        from actors.rate_limit import LeaseRequest, RateLimit
        from storage.rate_buckets import RateBuckets
        from storage.redis import greet, open_redis

        start_logging(settings)
        self._redis = open_redis(settings.redis.url)
        await greet(self._redis)
        self._limits = RateLimit(settings.rate_limit, RateBuckets(self._redis))
        await self._limits.start()
        await self._listen(settings, "rate_limit", LeaseRequest, self._limits.take_batch)

    async def __del__(self) -> None:
        await self._server.close()
        await self._limits.close()
        await self._redis.aclose()


def llm_client(settings: Settings) -> LlmClient:
    from serve_app.deployment_stream import deployment_stream
    from serve_app.llm_client import LlmClient

    return LlmClient(settings.llm, deployment_stream(handle_of("llm")))


class WorkerDeployment:
    """Of one kind of jobs: nobody calls it, it takes its work from Postgres."""

    async def __init__(self, settings: Settings, kind: WorkerKind) -> None:  # type: ignore[misc]
        from actors.worker import Worker
        from serve_app.search_client import SearchClient

        start_logging(settings)
        os.nice(_BEHIND_THE_LIVE)
        self._publisher = open_publisher(settings)
        self._search = SearchClient(sender_of(settings, "search"))
        self._worker = Worker(
            settings,
            self._publisher.publish,
            kind,
            search=self._search,
            publish_ephemeral=self._publisher.publish_ephemeral,
            writer=llm_client(settings) if kind == "ai" else None,
        )
        await self._worker.start()

    def check_health(self) -> None:
        self._worker.check_health()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"depth": self._worker.depth}

    async def __del__(self) -> None:
        await self._worker.stop()
        await self._search.close()
        await self._publisher.close()


class ShardActor:
    """One CommunityShard as a named Ray actor. Ray restarts it under the same name; it then starts
    empty at the first call, and gateways introduce themselves again."""

    def __init__(self, settings: Settings, index: int) -> None:
        from actors.shard_messages import ShardRequest

        start_logging(settings)
        self._settings = settings
        self._index = index
        self._pool: Pool | None = None
        self._shard: CommunityShard | None = None
        self._server: LineServer | None = None
        self._starting = asyncio.Lock()
        self._decoder = msgspec.msgpack.Decoder(ShardRequest)

    async def line(self) -> Address:
        async with self._starting:
            if self._server is None:
                name = shard_name(self._index)
                self._server = await open_line_server(self._settings, name, self._call)
        return self._server.address

    async def _call(self, payload: bytes) -> bytes:
        shard = self._shard or await self._start()
        return encode(await shard.handle(self._decoder.decode(payload)))

    async def _start(self) -> CommunityShard:
        async with self._starting:
            if self._shard is None:
                from actors.community import CommunityShard

                settings = self._settings
                self._pool = await connect(
                    settings.postgres.url,
                    settings.postgres,
                    application_name=f"shard {self._index}",
                )
                shard = CommunityShard(self._index, settings.shards.count, self._pool, settings)
                await shard.start()
                self._shard = shard
                relax_collector()
            return self._shard


class GatewayDeployment:
    """A gateway: it gets no Serve requests, its clients come to its own port."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]
        import ray

        from serve_app.assistant_client import AssistantClient
        from serve_app.deployment_stream import deployment_stream
        from serve_app.gateway.gateway import Gateway
        from storage.objects import objects_of

        start_logging(settings)
        self._gateway = Gateway(
            settings,
            gateway_id=uuid4().hex,
            thread=sender_of(settings, "thread"),
            feed=sender_of(settings, "feed"),
            accounts=sender_of(settings, "accounts"),
            search=sender_of(settings, "search"),
            rate_limit=sender_of(settings, "rate_limit"),
            shards=ShardClient(settings.auth.secret),
            assistant=AssistantClient(
                deployment_stream(handle_of("assistant")), sender_of(settings, "assistant")
            ),
            objects=objects_of(settings),
            advertised_host=ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        )
        await self._gateway.start()
        relax_collector()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"sockets": self._gateway.sockets}

    async def __del__(self) -> None:
        await self._gateway.stop()
