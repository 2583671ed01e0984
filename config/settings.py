"""All settings of the server: one frozen structure, profile TOML below, environment above.

`SERAI_<SECTION>__<FIELD>` overrides a field, `SERAI_DATA_DIR` and `SERAI_PROFILE` are top-level.
Only this module reads them from the environment. Unknown or invalid keys are refused with their
path and the reason. The names of the environment are a contract from the first day on: sections
that nothing reads yet are accepted all the same, and `unused` names them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from config.assistant import Assistant
from config.channels import Namespace, Namespaces
from config.embedding import Embedding
from config.llm import Llm
from config.media import Media, Objects
from config.rate_limits import RateLimitSettings

PROFILES: Final = Path(__file__).parent / "profiles"
MIN_SECRET_CHARACTERS: Final = 32  # 256 bits, as RFC 7518 section 3.2 asks for HS256
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Count = Annotated[int, Meta(ge=1, le=10_000)]
Days = Annotated[int, Meta(ge=1, le=3_650)]
# A bound above keeps infinity and what a timer can't hold out.
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Timeout = Annotated[float, Meta(ge=0.001, le=86_400)]
Bytes = Annotated[int, Meta(ge=1_024, le=1 << 30)]

_ORIGIN: Final = re.compile(r"https?://[^\s/?#*,]+/?")
_AT_PATH: Final = re.compile(r" - at `\$\.?(.*?)`$")


class SettingsError(ValueError):
    """A setting is unknown or invalid; the message holds its path and the reason."""


def _check_urls(field: str, urls: tuple[str, ...], schemes: tuple[str, ...]) -> None:
    """Never repeats the URL, which may hold a password."""
    for url in urls:
        scheme, colon, rest = url.partition("://")
        if url and not (colon and rest and scheme in schemes):
            raise ValueError(f"{field}: must begin with {' or '.join(f'{s}://' for s in schemes)}")


def _check_secret(field: str, value: str) -> None:
    if 0 < len(value) < MIN_SECRET_CHARACTERS:
        raise ValueError(
            f"{field}: must have {MIN_SECRET_CHARACTERS} characters or more, or be empty"
        )


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={'***' if name in _SECRET_FIELDS and value else repr(value)}"
            for name in self.__struct_fields__
            for value in (getattr(self, name),)
        )
        return f"{type(self).__name__}({shown})"


# An address may hold a password.
_SECRET_FIELDS: Final = frozenset(
    {
        "secret",
        "url",
        "replica_urls",
        "endpoint",
        "meilisearch_url",
        "meilisearch_key",
        "token_secret",
        "token_jwks_url",
        "api_key",
    }
)


class Gateway(_Section, frozen=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    cors_origins: tuple[str, ...] = ()
    """Other sites whose pages may call this server with its cookie: `https://example.org`."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For and -Proto are believed."""
    max_body_bytes: Bytes = 262_144
    """A body of 40,000 characters fits with every character escaped (6 bytes each)."""
    edge_cache_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = 64 * 1024 * 1024
    """0 keeps no page."""
    edge_cache_seconds: Seconds = 5.0
    drain_seconds: Seconds = 5.0
    sockets_per_replica: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    """Where `deployments.gateway.max_replicas` is above `replicas`: one more gateway beyond it."""
    scale_up_seconds: Seconds = 10.0
    scale_down_seconds: Seconds = 300.0
    """How long fewer gateways must have been enough before one is drained and taken away."""

    def __post_init__(self) -> None:
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"trusted_proxies: {network!r} is no network (CIDR)") from None
        for origin in self.cors_origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"cors_origins: {origin!r} is not of the form https://host[:port]")


class Realtime(_Section, frozen=True):
    """Limits of the realtime protocol (REALTIME_PROTOCOL names the defaults of the field)."""

    max_message_bytes: Bytes = 65_536
    # `community:` and an id take 46.
    max_channel_length: Annotated[int, Meta(ge=46, le=1_024)] = 255
    max_channels: Count = 128
    max_queue_bytes: Bytes = 1_048_576
    max_sockets: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Of each gateway; further ones are answered 503. 0: as many as its limit of open files allows,
    two a socket."""
    max_sockets_per_address: Annotated[int, Meta(ge=0, le=1_000_000)] = 1_000
    """At each gateway; further ones are answered 429. 0: not bounded. As with rate limits by
    address, loopback may be exempt, or all."""
    connect_timeout_seconds: Timeout = 15.0
    # Told to clients in whole seconds, where 0 would mean that no pings come.
    ping_seconds: Annotated[float, Meta(ge=1, le=3_600)] = 25.0
    pong_timeout_seconds: Timeout = 10.0
    refresh_grace_seconds: Seconds = 25.0
    history_limit: Count = 300
    recovery_publications: Count = 1_000
    recovery_bytes: Bytes = 524_288
    token_secret: str = ""
    """HMAC secret of connection and subscription tokens that an application of yours issues; empty:
    none are accepted but Serai's own."""
    token_jwks_url: str = ""
    """Where the public keys of such tokens are (RS, ES, EdDSA)."""
    token_audience: str = ""
    token_issuer: str = ""
    personal_channels: bool = False
    """Every connection with a user is subscribed to `#<user>` of the default namespace."""
    api_key: str = ""
    """Of the server API under /api; empty: there is none."""

    def __post_init__(self) -> None:
        _check_urls("token_jwks_url", (self.token_jwks_url,), ("http", "https"))
        for field in ("token_secret", "api_key"):
            _check_secret(field, getattr(self, field))
        if self.api_key and self.api_key == self.token_secret:
            raise ValueError("api_key: must differ from token_secret, or one leak would be both")


class Postgres(_Section, frozen=True):
    url: str = ""
    """Empty: the embedded server under the data directory."""
    replica_urls: tuple[str, ...] = ()
    """Streaming replicas of `url` for reads, each with its region behind a # where it has one."""
    region: str = ""
    """Replicas of this region are read from before all others."""
    max_replica_lag_seconds: Timeout = 2.0
    """A replica that is further behind is left out until it has caught up."""
    max_replica_lag_bytes: Annotated[int, Meta(ge=1_024, le=1 << 40)] = 64 * 1024 * 1024
    pool_size: Annotated[int, Meta(ge=1, le=200)] = 8
    """Connections of a process for each kind of its work (reads, writes) and server."""
    waiting_reads_per_connection: Count = 64
    """Further reads are refused with `overloaded` instead of making the queue longer."""
    read_timeout_seconds: Seconds = 5.0
    statement_timeout_seconds: Seconds = 10.0
    job_timeout_seconds: Seconds = 60.0
    """Of each statement that answers a page, writes what a client sent, is of a job; 0: none."""

    def __post_init__(self) -> None:
        _check_urls("url", (self.url,), ("postgresql", "postgres"))
        _check_urls("replica_urls", self.replica_urls, ("postgresql", "postgres"))


class Redis(_Section, frozen=True):
    url: str = ""
    """Empty: the embedded Valkey under the data directory. A cluster is named by some of its nodes:
    `redis+cluster://user:password@one:6379,two:6379`."""

    def __post_init__(self) -> None:
        schemes = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
        _check_urls("url", (self.url,), schemes)


class Auth(_Section, frozen=True):
    secret: str = ""
    """Signs access tokens; empty: generated into the data directory at the first start."""
    access_token_seconds: Annotated[int, Meta(ge=30, le=86_400)] = 900
    refresh_token_days: Days = 30
    reuse_grace_seconds: Seconds = 30.0
    """How long a refresh token's predecessor is still accepted, for lost replies."""

    def __post_init__(self) -> None:
        _check_secret("secret", self.secret)


class Deployment(_Section, frozen=True):
    """One Serve deployment: `replicas` fixed, or autoscaled up to a larger `max_replicas`."""

    replicas: Count = 1
    max_replicas: Annotated[int, Meta(ge=0, le=10_000)] = 0
    num_cpus: Annotated[float, Meta(ge=0, le=1_024)] = 0.0
    num_gpus: Annotated[float, Meta(ge=0, le=64)] = 0.0

    def __post_init__(self) -> None:
        if 0 < self.max_replicas < self.replicas:
            raise ValueError("max_replicas: must be 0 or not below replicas")


class Deployments(_Section, frozen=True):
    gateway: Deployment = Deployment()
    thread: Deployment = Deployment()
    feed: Deployment = Deployment()
    accounts: Deployment = Deployment()
    rate_limit: Deployment = Deployment()
    llm: Deployment = Deployment()
    search: Deployment = Deployment()
    assistant: Deployment = Deployment()
    worker_light: Deployment = Deployment()
    worker_ai: Deployment = Deployment()
    """Runs what waits for a model: vectors, summaries (actors/job_table.py)."""

    def __post_init__(self) -> None:
        if self.rate_limit.replicas != 1 or self.rate_limit.max_replicas > 1:
            raise ValueError("rate_limit: one replica owns all buckets, two double them")


class Shards(_Section, frozen=True):
    count: Annotated[int, Meta(ge=1, le=1024)] = 1
    num_cpus: Annotated[float, Meta(ge=0, le=1_024)] = 0.0
    ring_publications: Count = 1_000
    """Newest publications kept in memory for each channel that somebody follows."""


class Streams(_Section, frozen=True):
    retention_days: Days = 7
    partitions_ahead_days: Annotated[int, Meta(ge=1, le=366)] = 7


class Content(_Section, frozen=True):
    removed_days: Days = 30
    """How long the text of a removed post or comment is kept for whoever may bring it back."""


class Guides(_Section, frozen=True):
    """When a guide, or another fact of an authority, is shown as stale."""

    stale_after_days: Days = 365
    """Since the day that its facts are of."""
    check_after_days: Days = 90
    """Since somebody compared it with its source."""


class OfficialLinks(_Section, frozen=True):
    """Pages of authorities that visa types, guides and checklists name (docs/official-links.md)."""

    check: bool = False
    """Whether this server looks at them from time to time. It then asks other people's servers, so
    that an operator decides it; without it every page counts as stale."""
    contact: str = ""
    """An address of the operator, told to those servers."""
    every_hours: Annotated[int, Meta(ge=1, le=8_760)] = 24
    stale_after_days: Days = 14
    """Since a page was reached and answered."""
    host_pause_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 10.0
    """Between two requests to one host."""
    timeout_seconds: Timeout = 30.0
    """Of one page, redirects included."""
    max_bytes: Bytes = 4 * 1024 * 1024
    """What is longer is compared by its beginning."""
    allowed_networks: tuple[str, ...] = ()
    """Networks (CIDR) that may be asked although they are not public."""

    def __post_init__(self) -> None:
        for network in self.allowed_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"allowed_networks: {network!r} is no network (CIDR)") from None
        if not self.contact.isascii() or not self.contact.isprintable():
            raise ValueError("contact: must be printable ASCII")


class Jobs(_Section, frozen=True):
    """How many workers there are where `deployments.worker_….max_replicas` is above `replicas`."""

    due_per_worker: Count = 500
    """One more worker for each so many jobs that could run now."""
    scale_up_seconds: Seconds = 10.0
    scale_down_seconds: Seconds = 300.0


class Search(_Section, frozen=True):
    meilisearch_url: str = ""
    """Empty: the embedded engine, in the folder `search` of the data directory."""
    meilisearch_key: str = ""
    index_by_country: bool = False
    """Of Meilisearch: an index for each group of countries instead of one. With another value the
    next start has the index made anew."""

    def __post_init__(self) -> None:
        _check_urls("meilisearch_url", (self.meilisearch_url,), ("http", "https"))


class Mail(_Section, frozen=True):
    """The mail server that confirms addresses. Nothing reads it yet; no part sends mail so far."""

    url: str = ""


class Site(_Section, frozen=True):
    """The web pages."""

    url: str = ""
    """Where people reach them, `https://www.example.org`: for links in previews, feeds and
    sitemaps. Empty: what the request says."""

    def __post_init__(self) -> None:
        if self.url and _ORIGIN.fullmatch(self.url) is None:
            raise ValueError("url: is not of the form https://host[:port]")


class Settings(_Section, frozen=True):
    profile: str = "laptop"
    data_dir: Annotated[str, Meta(min_length=1)] = ".data"
    log_level: LogLevel = "INFO"
    gateway: Gateway = Gateway()
    site: Site = Site()
    realtime: Realtime = Realtime()
    channels: dict[str, Namespace] = {}
    """Namespaces beside Serai's own, by name; only in the profile file."""
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    auth: Auth = Auth()
    rate_limit: RateLimitSettings = RateLimitSettings()
    deployments: Deployments = Deployments()
    shards: Shards = Shards()
    streams: Streams = Streams()
    content: Content = Content()
    guides: Guides = Guides()
    official_links: OfficialLinks = OfficialLinks()
    jobs: Jobs = Jobs()
    search: Search = Search()
    embedding: Embedding = Embedding()
    llm: Llm = Llm()
    assistant: Assistant = Assistant()
    objects: Objects = Objects()
    media: Media = Media()
    mail: Mail = Mail()

    def __post_init__(self) -> None:
        Namespaces.check(self.channels)
        if self.auth.secret and self.auth.secret in (
            self.realtime.token_secret,
            self.realtime.api_key,
        ):
            raise ValueError("auth.secret: must differ from the secrets of the realtime section")
        search = self.deployments.search
        if not self.search.meilisearch_url and max(search.replicas, search.max_replicas) > 1:
            raise ValueError("deployments.search: the embedded engine has one owner, name a server")
        if self.realtime.personal_channels and "default" not in self.channels:
            raise ValueError("realtime.personal_channels: needs the namespace channels.default")


# What the contract names and nothing reads yet; `unused` tells who sets it nevertheless.
_NOT_READ: Final = ("mail.url",)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Profile named by SERAI_PROFILE, or the TOML file at its path, then the environment over it.

    Raises SettingsError with the path of the first unknown or invalid key.
    """
    environ = os.environ if environ is None else environ
    profile = environ.get("SERAI_PROFILE", "laptop")
    tree = _read_profile(profile)
    tree["profile"] = profile
    for name, value in environ.items():
        if name.startswith("SERAI_") and name != "SERAI_PROFILE":
            _assign(tree, name, value)
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_with_path(str(error))) from None


def _read_profile(profile: str) -> dict[str, Any]:
    known = {path.stem: path for path in sorted(PROFILES.glob("*.toml"))}
    path = Path(profile) if profile.endswith(".toml") else known.get(profile)
    if path is None:
        raise SettingsError(
            f"SERAI_PROFILE: no profile {profile!r} (there are: {', '.join(known)},"
            " or the path of a .toml file of yours)"
        )
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"SERAI_PROFILE: {profile}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"SERAI_PROFILE: {profile}: {error}") from None


def unused(settings: Settings) -> list[str]:
    """Environment names of settings that are set and that nothing reads yet."""
    return list(_unused(settings))


def _unused(settings: Settings) -> Iterator[str]:
    for path in _NOT_READ:
        section, field = path.split(".")
        if getattr(getattr(settings, section), field):
            yield f"SERAI_{section.upper()}__{field.upper()}"


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


def _with_path(message: str) -> str:
    """msgspec names the path last, and of what a section itself refuses only the section's."""
    found = _AT_PATH.search(message)
    if found is None:
        return message
    reason = message[: found.start()]
    field, colon, rest = reason.partition(": ")
    if colon and field.isidentifier():
        return f"{found[1]}.{field}: {rest}"
    return f"{found[1]}: {reason}"
