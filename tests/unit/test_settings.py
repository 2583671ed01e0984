from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from config.section import MIN_SECRET_CHARACTERS
from config.settings import PROFILES, Settings, SettingsError, load, unused

# Names that the contract fixes for parts that do not exist yet.
OF_LATER_PARTS = {
    "SERAI_MAIL__URL": "smtp://mail.example.org",
}


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_profile_loads(profile: str) -> None:
    assert load({"SERAI_PROFILE": profile}).profile == profile


def test_the_environment_stands_above_the_profile() -> None:
    settings = load(
        {
            "SERAI_GATEWAY__PORT": "9001",
            "SERAI_DATA_DIR": "/srv/serai",
            "SERAI_RATE_LIMIT__ENABLED": "false",
            "SERAI_DEPLOYMENTS__GATEWAY__REPLICAS": "2",
            "SERAI_SHARDS__COUNT": "3",
            "SERAI_POSTGRES__REPLICA_URLS": "postgresql://a, postgresql://b",
            "UNRELATED": "x",
        }
    )
    assert settings.gateway.port == 9001
    assert settings.data_dir == "/srv/serai"
    assert settings.rate_limit.enabled is False
    assert settings.deployments.gateway.replicas == 2
    assert settings.shards.count == 3
    assert settings.postgres.replica_urls == ("postgresql://a", "postgresql://b")


def test_settings_of_later_parts_are_accepted_and_named_as_unused() -> None:
    assert unused(load({})) == []
    settings = load(OF_LATER_PARTS)
    assert settings.mail.url == OF_LATER_PARTS["SERAI_MAIL__URL"]
    assert sorted(unused(settings)) == sorted(OF_LATER_PARTS)
    for name, value in OF_LATER_PARTS.items():
        assert unused(load({name: value})) == [name]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SERAI_PROFILE", "3m", "no profile"),
        ("SERAI_GATEWAY__PROT", "1", "unknown setting 'gateway.prot'"),
        ("SERAI_NOTHING", "1", "unknown setting 'nothing'"),
        ("SERAI_GATEWAY__PORT", "http", "SERAI_GATEWAY__PORT"),
        ("SERAI_GATEWAY__PORT", "70000", "SERAI_GATEWAY__PORT"),
        ("SERAI_GATEWAY", "1", "is a section"),
        ("SERAI_GATEWAY__PORT__X", "1", "has no fields"),
        ("SERAI_SHARDS__COUNT", "0", "SERAI_SHARDS__COUNT"),
        ("SERAI_DEPLOYMENTS__RATE_LIMIT__REPLICAS", "2", r"^deployments\.rate_limit: one replica"),
        ("SERAI_DEPLOYMENTS__RATE_LIMIT__MAX_REPLICAS", "2", "rate_limit"),
        ("SERAI_DEPLOYMENTS__SEARCH__REPLICAS", "2", r"deployments\.search: .* one owner"),
        ("SERAI_PROFILE", "../profiles/laptop", "no profile"),
        ("SERAI_PROFILE", "/nowhere/mine.toml", "No such file"),
        ("SERAI_LLM__ENGINE", "hal", "SERAI_LLM__ENGINE"),
        ("SERAI_LLM__ENDPOINT", "nowhere", r"^llm\.endpoint: must begin with http://"),
        ("SERAI_LLM__ENDPOINT", "http://llm:8000/v1", r"^llm\.endpoint: is for the engine openai"),
        ("SERAI_LLM__ENGINE", "openai", r"^llm\.endpoint: the engine openai needs it"),
        ("SERAI_LLM__ENGINE", "vllm", r"^llm\.model: the engine vllm needs one"),
        ("SERAI_LLM__MAX_TOKENS", "4096", r"^llm\.max_tokens: must leave room"),
        ("SERAI_EMBEDDING__ENGINE", "openai", "^embedding.endpoint: the engine openai needs it"),
        ("SERAI_EMBEDDING__ENGINE", "sentence_transformers", "^embedding.model: the engine"),
        ("SERAI_EMBEDDING__ENDPOINT", "nowhere", "^embedding.endpoint: must begin"),
        ("SERAI_GATEWAY__HOST", "", "SERAI_GATEWAY__HOST"),
        ("SERAI_GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8,not-a-net", "^gateway.*'not-a-net'"),
        ("SERAI_GATEWAY__TRUSTED_PROXIES", "10.0.0.0/99", r"^gateway\.trusted_proxies: "),
        ("SERAI_GATEWAY__CORS_ORIGINS", "*", r"^gateway\.cors_origins: '\*'"),
        ("SERAI_GATEWAY__CORS_ORIGINS", "https://a.org/path", r"^gateway\.cors_origins: "),
        ("SERAI_GATEWAY__EDGE_CACHE_BYTES", "-5", "SERAI_GATEWAY__EDGE_CACHE_BYTES"),
        ("SERAI_GATEWAY__DRAIN_SECONDS", "inf", "SERAI_GATEWAY__DRAIN_SECONDS"),
        ("SERAI_GATEWAY__DRAIN_SECONDS", "nan", "SERAI_GATEWAY__DRAIN_SECONDS"),
        ("SERAI_OFFICIAL_LINKS__ALLOWED_NETWORKS", "10.0.0.1/8", r"^official_links\.allowed_netw"),
        ("SERAI_OFFICIAL_LINKS__CONTACT", "a\nb", r"^official_links\.contact: "),
        ("SERAI_LOG_LEVEL", "bogus", "SERAI_LOG_LEVEL"),
        ("SERAI_DATA_DIR", "", "SERAI_DATA_DIR"),
        ("SERAI_REALTIME__MAX_CHANNELS", "-1", "SERAI_REALTIME__MAX_CHANNELS"),
        ("SERAI_REALTIME__PING_SECONDS", "0", "SERAI_REALTIME__PING_SECONDS"),
        ("SERAI_POSTGRES__URL", "mysql://db", r"^postgres\.url: must begin with postgresql://"),
        ("SERAI_REDIS__URL", "localhost:6379", r"^redis\.url: must begin with redis://"),
        ("SERAI_AUTH__SECRET", "a", r"^auth\.secret: must have 32 characters"),
        ("SERAI_DEPLOYMENTS__THREAD__MAX_REPLICAS", "-1", "SERAI_DEPLOYMENTS__THREAD"),
        ("SERAI_STREAMS__RETENTION_DAYS", "0", "SERAI_STREAMS__RETENTION_DAYS"),
        ("SERAI_OBJECTS__URL", "https://h/b", r"^objects\.url: must begin with s3://"),
        ("SERAI_OBJECTS__URL", "s3://bucket", r"^objects\.access_key_id: s3:// needs it"),
        ("SERAI_MEDIA__MAX_FILE_BYTES", "1", "SERAI_MEDIA__MAX_FILE_BYTES"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load({name: value})


def test_fewer_replicas_at_most_than_at_least_are_refused() -> None:
    name = "SERAI_DEPLOYMENTS__FEED__"
    with pytest.raises(SettingsError, match=r"^deployments\.feed\.max_replicas: "):
        load({f"{name}REPLICAS": "4", f"{name}MAX_REPLICAS": "2"})
    assert load({f"{name}REPLICAS": "4", f"{name}MAX_REPLICAS": "4"}).deployments.feed.replicas == 4


def test_the_laptop_holds_an_account_to_a_hundred_comments_a_second_alone() -> None:
    limits = load({"SERAI_PROFILE": "laptop"}).rate_limit
    assert limits.exempt_loopback
    assert {name: rule.per_minute for name, rule in limits.account.items()} == {"comment": 6000}


def test_the_defaults_are_within_their_own_bounds() -> None:
    assert msgspec.convert(msgspec.to_builtins(Settings()), Settings) == Settings()


SECRETS = {
    **OF_LATER_PARTS,
    "SERAI_AUTH__SECRET": "hunter2".rjust(MIN_SECRET_CHARACTERS, "x"),
    "SERAI_POSTGRES__URL": "postgresql://u:hunter2@h/d",
    "SERAI_POSTGRES__REPLICA_URLS": "postgresql://u:hunter2@h/d",
    "SERAI_REDIS__URL": "redis://:hunter2@h",
    "SERAI_OBJECTS__URL": "s3://hunter2",
    "SERAI_OBJECTS__ACCESS_KEY_ID": "hunter2",
    "SERAI_OBJECTS__SECRET_ACCESS_KEY": "hunter2",
    "SERAI_MAIL__URL": "smtp://u:hunter2@h",
    "SERAI_EMBEDDING__API_KEY": "hunter2",
    "SERAI_EMBEDDING__ENDPOINT": "http://u:hunter2@h",
    "SERAI_LLM__ENGINE": "openai",
    "SERAI_LLM__MODEL": "any",
    "SERAI_LLM__ENDPOINT": "http://h",
    "SERAI_LLM__API_KEY": "hunter2",
    "SERAI_SEARCH__MEILISEARCH_URL": "http://u:hunter2@h:7700",
    "SERAI_SEARCH__MEILISEARCH_KEY": "hunter2",
}


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(load(SECRETS))
    in_address = SECRETS | {"SERAI_LLM__ENDPOINT": "http://u:hunter2@h", "SERAI_LLM__API_KEY": ""}
    assert "hunter2" not in repr(load(in_address))
    both = in_address | {"SERAI_LLM__API_KEY": "hunter2"}
    with pytest.raises(SettingsError, match=r"^llm\.endpoint: holds a user") as refused:
        load(both)
    assert "hunter2" not in str(refused.value)


def test_the_number_of_turns_follows_the_engine_until_it_is_set() -> None:
    assert (load({}).llm.turns, load({}).llm.full_replica) == (2, 4)
    vllm = {"SERAI_LLM__ENGINE": "vllm", "SERAI_LLM__MODEL": "m"}
    assert load(vllm).llm.turns == 64
    assert load(vllm | {"SERAI_LLM__PARALLEL": "8"}).llm.full_replica == 16


@pytest.mark.parametrize(
    "name", ["SERAI_AUTH__SECRET", "SERAI_POSTGRES__URL", "SERAI_REDIS__URL", "SERAI_LLM__ENDPOINT"]
)
def test_a_refused_secret_is_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({name: "other:hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_profile_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[channels.chat]\npublish = "subscribers"\n[gateway]\nport = 8001\n')
    settings = load({"SERAI_PROFILE": str(mine), "SERAI_GATEWAY__PORT": "8002"})
    assert settings.channels["chat"].publish == "subscribers"
    assert settings.gateway.port == 8002
    mine.write_text("[channels.thread]\n")
    with pytest.raises(SettingsError, match="Serai's own"):
        load({"SERAI_PROFILE": str(mine)})
    mine.write_text("no = toml = at all")
    with pytest.raises(SettingsError, match=r"mine\.toml"):
        load({"SERAI_PROFILE": str(mine)})
