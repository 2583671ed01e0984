"""Secrets of the realtime section: never shown, and none for two purposes."""

from __future__ import annotations

import pytest

from config.settings import SettingsError, load

FIRST = "a" * 32
SECOND = "b" * 32
THIRD = "c" * 32


def test_no_secret_is_shown() -> None:
    settings = load(
        {
            "SERAI_REALTIME__TOKEN_SECRET": FIRST,
            "SERAI_REALTIME__API_KEY": SECOND,
            "SERAI_AUTH__SECRET": THIRD,
            "SERAI_REALTIME__TOKEN_JWKS_URL": "https://reader:hunter2@id.example.org/keys",
        }
    )
    shown = repr(settings)
    assert not [secret for secret in (FIRST, SECOND, THIRD, "hunter2") if secret in shown]


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (("REALTIME__TOKEN_SECRET", "REALTIME__API_KEY"), r"realtime\.api_key"),
        (("REALTIME__TOKEN_SECRET", "AUTH__SECRET"), r"auth\.secret"),
        (("REALTIME__API_KEY", "AUTH__SECRET"), r"auth\.secret"),
    ],
)
def test_one_secret_is_not_for_two_purposes(names: tuple[str, ...], refused: str) -> None:
    with pytest.raises(SettingsError, match=refused) as error:
        load({f"SERAI_{name}": FIRST for name in names})
    assert FIRST not in str(error.value)
