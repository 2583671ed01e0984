from __future__ import annotations

import pytest

from config.settings import PROFILES, SettingsError, load


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
        ("SERAI_DEPLOYMENTS__RATE_LIMIT__REPLICAS", "2", "rate_limit"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load({name: value})


def test_secrets_do_not_show() -> None:
    settings = load(
        {"SERAI_AUTH__SECRET": "hunter2", "SERAI_POSTGRES__URL": "postgresql://u:hunter2@h/d"}
    )
    assert "hunter2" not in repr(settings)
