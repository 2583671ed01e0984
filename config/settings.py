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
from config.edge import Gateway, Realtime
from config.embedding import Embedding
from config.llm import Llm
from config.media import Media, Objects
from config.rate_limits import RateLimitSettings
from config.section import (
    Bytes,
    Count,
    Days,
    Seconds,
    Section,
    Timeout,
    check_origin,
    check_secret,
    check_urls,
)

PROFILES: Final = Path(__file__).parent / "profiles"
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_AT_PATH: Final = re.compile(r" - at `\$\.?(.*?)`$")


class SettingsError(ValueError):
    """A setting is unknown or invalid; the message holds its path and the reason."""


class Postgres(Section, frozen=True):
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
        check_urls("url", (self.url,), ("postgresql", "postgres"))
        check_urls("replica_urls", self.replica_urls, ("postgresql", "postgres"))


class Redis(Section, frozen=True):
    url: str = ""
    """Empty: the embedded Valkey under the data directory. A cluster is named by some of its nodes:
    `redis+cluster://user:password@one:6379,two:6379`."""

    def __post_init__(self) -> None:
        schemes = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
        check_urls("url", (self.url,), schemes)


class Auth(Section, frozen=True):
    secret: str = ""
    """Signs access tokens; empty: generated into the data directory at the first start."""
    access_token_seconds: Annotated[int, Meta(ge=30, le=86_400)] = 900
    refresh_token_days: Days = 30
    reuse_grace_seconds: Seconds = 30.0
    """How long a refresh token's predecessor is still accepted, for lost replies."""

    def __post_init__(self) -> None:
        check_secret("secret", self.secret)


class Deployment(Section, frozen=True):
    """One Serve deployment: `replicas` fixed, or autoscaled up to a larger `max_replicas`."""

    replicas: Count = 1
    max_replicas: Annotated[int, Meta(ge=0, le=10_000)] = 0
    num_cpus: Annotated[float, Meta(ge=0, le=1_024)] = 0.0
    num_gpus: Annotated[float, Meta(ge=0, le=64)] = 0.0

    def __post_init__(self) -> None:
        if 0 < self.max_replicas < self.replicas:
            raise ValueError("max_replicas: must be 0 or not below replicas")


class Deployments(Section, frozen=True):
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


class Shards(Section, frozen=True):
    count: Annotated[int, Meta(ge=1, le=1024)] = 1
    num_cpus: Annotated[float, Meta(ge=0, le=1_024)] = 0.0
    ring_publications: Count = 1_000
    """Newest publications kept in memory for each channel that somebody follows."""


class Streams(Section, frozen=True):
    retention_days: Days = 7
    partitions_ahead_days: Annotated[int, Meta(ge=1, le=366)] = 7


class Content(Section, frozen=True):
    removed_days: Days = 30
    """How long the text of a removed post or comment is kept for whoever may bring it back."""


class Guides(Section, frozen=True):
    """When a guide, or another fact of an authority, is shown as stale."""

    stale_after_days: Days = 365
    """Since the day that its facts are of."""
    check_after_days: Days = 90
    """Since somebody compared it with its source."""


class OfficialLinks(Section, frozen=True):
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


class Jobs(Section, frozen=True):
    """How many workers there are where `deployments.worker_….max_replicas` is above `replicas`."""

    due_per_worker: Count = 500
    """One more worker for each so many jobs that could run now."""
    scale_up_seconds: Seconds = 10.0
    scale_down_seconds: Seconds = 300.0


class Search(Section, frozen=True):
    meilisearch_url: str = ""
    """Empty: the embedded engine, in the folder `search` of the data directory."""
    meilisearch_key: str = ""
    index_by_country: bool = False
    """Of Meilisearch: an index for each group of countries instead of one. With another value the
    next start has the index made anew."""

    def __post_init__(self) -> None:
        check_urls("meilisearch_url", (self.meilisearch_url,), ("http", "https"))


class Mail(Section, frozen=True):
    """The mail server that confirms addresses. Nothing reads it yet; no part sends mail so far."""

    url: str = ""


class Site(Section, frozen=True):
    """The web pages."""

    url: str = ""
    """Where people reach them, `https://www.example.org`: for links in previews, feeds and
    sitemaps. Empty: what the request says."""

    def __post_init__(self) -> None:
        if self.url:
            check_origin("url", self.url)


class Settings(Section, frozen=True):
    profile: str = "laptop"
    data_dir: Annotated[str, Meta(min_length=1)] = ".data"
    log_level: LogLevel = "INFO"
    gateway: Gateway = Gateway()
    site: Site = Site()
    realtime: Realtime = Realtime()
    channels: dict[str, Namespace] = msgspec.field(default_factory=dict)
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
