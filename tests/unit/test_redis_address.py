"""How a Redis server or cluster is named."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection

from config.settings import SettingsError, load
from storage.redis import open_redis


def test_one_server() -> None:
    assert isinstance(open_redis("redis://:secret@cache.example:6380/2"), Redis)
    assert isinstance(open_redis("unix:///run/valkey.sock?db=0"), Redis)


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    client = open_redis("redis+cluster://me:p%40ss@one.example:7000,[::1]:7001,three.example")
    assert isinstance(client, RedisCluster)
    nodes = client.nodes_manager.startup_nodes.values()
    assert [(n.host, n.port) for n in nodes] == [
        ("one.example", 7000),
        ("::1", 7001),
        ("three.example", 6379),
    ]
    assert client.connection_kwargs["username"] == "me"
    assert client.connection_kwargs["password"] == "p@ss"
    secure = open_redis("rediss+cluster://one.example")
    assert isinstance(secure, RedisCluster)
    assert secure.connection_kwargs["connection_class"] is SSLConnection


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+cluster", "rediss+cluster"])
def test_the_settings_take_it(scheme: str) -> None:
    url = f"{scheme}://cache.example:6379"
    assert load({"SERAI_REDIS__URL": url}).redis.url == url


def test_other_schemes_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"redis\.url"):
        load({"SERAI_REDIS__URL": "valkey://cache.example"})
