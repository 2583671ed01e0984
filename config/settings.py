"""All settings of the server: one frozen structure, profile TOML below, environment above.

`SERAI_<SECTION>__<FIELD>` overrides a field, `SERAI_DATA_DIR` and `SERAI_PROFILE` are top-level.
Only this module reads the environment. Unknown or invalid keys are refused with their path and the
reason.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from config.rate_limits import RateLimitSettings

PROFILES: Final = Path(__file__).parent / "profiles"
Count = Annotated[int, Meta(ge=1, le=10_000)]
Seconds = Annotated[float, Meta(ge=0)]


class SettingsError(ValueError):
    """A setting is unknown or invalid; the message holds its path and the reason."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'***' if name in _SECRET_FIELDS and value else repr(value)}"
            for name in self.__struct_fields__
            for value in (getattr(self, name),)
        )
        return f"{type(self).__name__}({shown})"


_SECRET_FIELDS: Final = frozenset({"secret", "url", "replica_urls", "api_key"})


class Gateway(_Section, frozen=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For and -Proto are believed."""
    max_body_bytes: Annotated[int, Meta(ge=1_024)] = 262_144
    """A body of 40,000 characters fits with every character escaped (6 bytes each)."""
    edge_cache_bytes: int = 64 * 1024 * 1024
    edge_cache_seconds: Seconds = 5.0
    drain_seconds: Seconds = 5.0


class Realtime(_Section, frozen=True):
    """Limits of the realtime protocol (REALTIME_PROTOCOL names the defaults of the field)."""

    max_message_bytes: int = 65_536
    max_channel_length: int = 255
    max_channels: int = 128
    max_queue_bytes: int = 1_048_576
    connect_timeout_seconds: Seconds = 15.0
    ping_seconds: Seconds = 25.0
    pong_timeout_seconds: Seconds = 10.0
    refresh_grace_seconds: Seconds = 25.0
    history_limit: int = 300
    recovery_publications: int = 1_000
    recovery_bytes: int = 524_288


class Postgres(_Section, frozen=True):
    url: str = ""
    """Empty: the embedded server under the data directory."""
    replica_urls: tuple[str, ...] = ()
    pool_size: Annotated[int, Meta(ge=1, le=200)] = 8
    """Connections of each process that talks to Postgres."""
    statement_timeout_seconds: Seconds = 10.0


class Redis(_Section, frozen=True):
    url: str = ""
    """Empty: the embedded Valkey under the data directory."""


class Auth(_Section, frozen=True):
    secret: str = ""
    """Signs access tokens; empty: generated into the data directory at the first start."""
    access_token_seconds: Annotated[int, Meta(ge=30)] = 900
    refresh_token_days: Annotated[int, Meta(ge=1)] = 30
    reuse_grace_seconds: Seconds = 30.0
    """How long a refresh token's predecessor is still accepted, for lost replies."""


class Deployment(_Section, frozen=True):
    """One Serve deployment: `replicas` fixed, or autoscaled up to a larger `max_replicas`."""

    replicas: Count = 1
    max_replicas: int = 0
    num_cpus: Annotated[float, Meta(ge=0)] = 0.0
    num_gpus: Annotated[float, Meta(ge=0)] = 0.0


class Deployments(_Section, frozen=True):
    gateway: Deployment = Deployment()
    thread: Deployment = Deployment()
    feed: Deployment = Deployment()
    accounts: Deployment = Deployment()
    rate_limit: Deployment = Deployment()
    worker_light: Deployment = Deployment()


class Shards(_Section, frozen=True):
    count: Annotated[int, Meta(ge=1, le=1024)] = 1
    num_cpus: Annotated[float, Meta(ge=0)] = 0.0
    ring_publications: Count = 1_000
    """Newest publications kept in memory for each channel that somebody follows."""


class Streams(_Section, frozen=True):
    retention_days: Annotated[int, Meta(ge=1)] = 7
    partitions_ahead_days: Annotated[int, Meta(ge=1)] = 7


class Settings(_Section, frozen=True):
    profile: str = "laptop"
    data_dir: str = ".data"
    log_level: str = "INFO"
    gateway: Gateway = Gateway()
    realtime: Realtime = Realtime()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    auth: Auth = Auth()
    rate_limit: RateLimitSettings = RateLimitSettings()
    deployments: Deployments = Deployments()
    shards: Shards = Shards()
    streams: Streams = Streams()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Profile named by SERAI_PROFILE, then the environment over it.

    Raises SettingsError with the path of the first unknown or invalid key.
    """
    environ = os.environ if environ is None else environ
    profile = environ.get("SERAI_PROFILE", "laptop")
    path = PROFILES / f"{profile}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.toml")))
        raise SettingsError(f"SERAI_PROFILE: no profile {profile!r} (there are: {known})")
    tree: dict[str, Any] = tomllib.loads(path.read_text())
    tree["profile"] = profile
    for name, value in environ.items():
        if name.startswith("SERAI_") and name != "SERAI_PROFILE":
            _assign(tree, name, value)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"profile {profile} with the environment: {error}") from None
    limits = settings.deployments.rate_limit
    if limits.replicas != 1 or limits.max_replicas > 1:
        raise SettingsError("deployments.rate_limit: one replica owns all buckets, two double them")
    return settings


def _assign(tree: dict[str, Any], name: str, value: str) -> None:
    kind: Any = Settings
    node = tree
    steps = name.removeprefix("SERAI_").lower().split("__")
    for position, step in enumerate(steps):
        fields = {f.name: f.type for f in msgspec.structs.fields(kind)}
        if step not in fields:
            raise SettingsError(f"{name}: unknown setting {'.'.join(steps[: position + 1])!r}")
        kind = fields[step]
        is_section = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        if position == len(steps) - 1:
            if is_section:
                raise SettingsError(f"{name}: {step!r} is a section, name one of its fields")
            try:
                node[step] = msgspec.convert(_parse(value, kind), kind, strict=False)
            except msgspec.ValidationError as error:
                raise SettingsError(f"{name}: {error}") from None
            return
        if not is_section:
            raise SettingsError(f"{name}: {step!r} has no fields")
        node = node.setdefault(step, {})


def _parse(value: str, kind: Any) -> Any:
    if getattr(kind, "__origin__", None) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value
