"""Both encodings say the same, to and from the SDK's own code and the google package."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
from centrifuge.codecs import _JsonCodec, _ProtobufCodec
from centrifuge.protocol import client_pb2
from hypothesis import given
from hypothesis import strategies as st

from actors.shard_messages import Publication
from serve_app.gateway.codec_json import JsonCodec
from serve_app.gateway.codec_protobuf import ProtobufCodec, decode_emulation
from serve_app.gateway.protocol import Push, Reply, SubscribeResult
from tests import realtime_messages as messages
from tests.protobuf_messages import messages_of

# Members that JSON has also where they are zero, as existing applications expect.
ALWAYS: dict[str, dict[str, Any]] = {
    "ClientInfo": {"user": "", "client": ""},
    "PresenceResult": {"presence": {}},
    "PresenceStatsResult": {"num_clients": 0, "num_users": 0},
    "HistoryResult": {"publications": [], "epoch": "", "offset": 0},
}
JSON = JsonCodec()
PROTOBUF = ProtobufCodec()


def with_bytes(document: Any) -> Any:
    """A command as the SDK keeps it for Protobuf: `data` in base64."""
    if not isinstance(document, dict):
        return document
    return {
        name: base64.b64encode(_dumped(value)).decode() if name == "data" else with_bytes(value)
        for name, value in document.items()
    }


def _dumped(value: Any) -> bytes:
    text: str = _JsonCodec.encode_commands([value])
    return text.encode()


@given(st.lists(messages.commands, min_size=1, max_size=4))
def test_commands_of_the_sdk(documents: list[dict[str, Any]]) -> None:
    text = JSON.decode(_JsonCodec.encode_commands(documents).encode())
    binary = PROTOBUF.decode(
        _ProtobufCodec.encode_commands([with_bytes(document) for document in documents])
    )
    assert binary == text
    assert [command.id for command in binary] == [document["id"] for document in documents]


def plain(message: Any) -> dict[str, Any]:
    """The JSON document that says what a message of the google package says."""
    said = {field.name: _plain(field, value) for field, value in message.ListFields()}
    return {**ALWAYS.get(message.DESCRIPTOR.name, {}), **said}


def _plain(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        nested = field.message_type.fields_by_name["value"]
        return {name: _plain(nested, value[name]) for name in value}
    if field.is_repeated:
        return [plain(item) for item in value]
    if field.message_type is not None:
        return plain(value)
    return msgspec.json.decode(value) if isinstance(value, bytes) else value


def from_protobuf(frame: bytes) -> list[dict[str, Any]]:
    return [plain(reply) for reply in messages_of(frame, client_pb2.Reply)]


def from_json(frame: bytes) -> list[dict[str, Any]]:
    replies: list[dict[str, Any]] = _JsonCodec.decode_replies(frame.decode())
    return replies


@given(messages.replies)
def test_replies(reply: Reply) -> None:
    assert from_protobuf(PROTOBUF.reply(reply)) == from_json(JSON.reply(reply))


@given(messages.pushes)
def test_pushes(push: Push) -> None:
    assert from_protobuf(PROTOBUF.push(push)) == from_json(JSON.push(push))


@given(messages.publications)
def test_publications(publication: Publication) -> None:
    channel = publication.channel
    (binary,) = from_protobuf(PROTOBUF.publication(channel, publication))
    assert [binary] == from_json(JSON.publication(channel, publication))
    pub = binary["push"]["pub"]
    assert pub["data"] == msgspec.json.decode(publication.data)
    assert pub.get("offset", 0) == publication.offset
    assert binary["push"]["channel"] == channel


@given(messages.visits)
def test_visits(publication: Publication) -> None:
    channel = publication.channel
    (binary,) = from_protobuf(PROTOBUF.visit(channel, publication))
    assert [binary] == from_json(JSON.visit(channel, publication))


@given(messages.publications, st.binary(max_size=40) | st.text().map(str.encode))
def test_patches(publication: Publication, patch: bytes) -> None:
    channel = publication.channel
    (message,) = messages_of(
        PROTOBUF.delta_publication(channel, publication, patch), client_pb2.Reply
    )
    assert message.push.pub.data == (patch or publication.data)
    assert message.push.pub.delta == bool(patch)
    assert message.push.pub.offset == publication.offset
    try:
        patch.decode()
    except UnicodeDecodeError:
        return  # nothing that `create_delta` makes
    (text,) = from_json(JSON.delta_publication(channel, publication, patch))
    pub = text["push"]["pub"]
    assert pub["data"].encode() == (patch or publication.data)
    assert pub.get("delta", False) == bool(patch)


@given(st.lists(messages.publication_results, min_size=1, max_size=3))
def test_recovered_patches(publications: list[Any]) -> None:
    first, *rest = publications
    patch = msgspec.Raw(b"3@0,x")
    sent = [first, *(msgspec.structs.replace(p, delta=True, data=patch) for p in rest)]
    reply = Reply(1, subscribe=SubscribeResult(delta=True, publications=sent))
    (message,) = messages_of(PROTOBUF.reply(reply), client_pb2.Reply)
    (text,) = from_json(JSON.reply(reply))
    binary_form = [(p.data, p.delta) for p in message.subscribe.publications]
    text_form = [
        (p["data"].encode(), p.get("delta", False)) for p in text["subscribe"]["publications"]
    ]
    assert text_form == binary_form == [(bytes(p.data), p.delta) for p in sent]


@given(st.lists(messages.replies, min_size=1, max_size=5))
def test_messages_of_a_frame(replies: Iterable[Reply]) -> None:
    for codec, read in ((PROTOBUF, from_protobuf), (JSON, from_json)):
        encoded = [codec.reply(reply) for reply in replies]
        one_by_one = [message for frame in encoded for message in read(frame)]
        assert read(codec.join(encoded)) == one_by_one


@given(messages.texts, messages.texts, st.binary(max_size=200))
def test_emulated_frames(node: str, session: str, data: bytes) -> None:
    body = client_pb2.EmulationRequest(node=node, session=session, data=data).SerializeToString()
    request = decode_emulation(body)
    assert (request.node, request.session, bytes(request.data)) == (node, session, data)
