"""What gateways sign for each other."""

from __future__ import annotations

from serve_app.gateway.peers import SIGNATURE_SECONDS, Peers

SECRET = "a secret that all gateways share"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def gateway(address: str, clock: Clock, secret: str = SECRET) -> Peers:
    return Peers(secret, lambda: address, clock)


def test_a_signature_is_for_one_gateway_one_body_and_some_time() -> None:
    clock = Clock()
    sender, owner, third = (gateway(f"10.0.0.{number}:9000", clock) for number in (1, 2, 3))
    signature = sender.sign("10.0.0.2:9000", b"body")
    assert owner.sent(signature, b"body")
    assert not owner.sent(signature, b"body ")
    assert not third.sent(signature, b"body")
    assert not gateway("10.0.0.2:9000", clock, "of another server").sent(signature, b"body")
    clock.now += SIGNATURE_SECONDS - 1
    assert owner.sent(signature, b"body")
    clock.now += 2
    assert not owner.sent(signature, b"body")
    # Nobody can set the time anew.
    seconds, mac = signature.split("-")
    assert not owner.sent(f"{int(seconds) + 60}-{mac}", b"body")


def test_what_is_no_signature() -> None:
    owner = gateway("10.0.0.2:9000", Clock())
    for text in ("", "-", "1", "x-y", "-1-00", "²-00", "9" * 5_000, f"{'9' * 12}-00", "ä\ud800"):
        assert not owner.sent(text, b"")
