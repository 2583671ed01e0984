"""Strategies of what clients and the server say, for the tests of encodings.

Commands are documents as the SDKs have them; what the server says are its own structs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from actors.shard_messages import KIND_JOIN, KIND_LEAVE, Publication
from serve_app.gateway import protocol as p

UINT32 = 2**32 - 1
UINT63 = 2**63 - 1

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
small = st.integers(0, 300)
uint32s = small | st.integers(0, UINT32)
offsets = small | st.integers(0, UINT63)
flags = st.booleans()


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


raws = json_values.map(raw)
maybe_raws = st.just(msgspec.UNSET) | raws

# ------------------------------------------------------------ what clients send

ids = st.integers(1, 300) | st.integers(1, UINT32)


def document(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


subscribe_requests = document(
    channel=texts,
    token=texts,
    recover=flags,
    epoch=texts,
    offset=offsets,
    data=json_values,
    positioned=flags,
    recoverable=flags,
    join_leave=flags,
    delta=texts,
    tf=st.just({"op": "", "key": "k", "cmp": "eq", "val": "v"}),
    flag=small,
)
members = {
    "connect": document(
        token=texts,
        data=json_values,
        subs=st.dictionaries(texts, subscribe_requests, max_size=3),
        name=texts,
        version=texts,
        headers=st.dictionaries(texts, texts, max_size=2),
        flag=small,
    ),
    "subscribe": subscribe_requests,
    "unsubscribe": document(channel=texts),
    "publish": document(channel=texts, data=json_values),
    "presence": document(channel=texts),
    "presence_stats": document(channel=texts),
    "history": document(
        channel=texts,
        limit=st.integers(-(2**31), 2**31 - 1),
        since=document(offset=offsets, epoch=texts),
        reverse=flags,
    ),
    "ping": document(),
    "send": document(data=json_values),
    "rpc": document(method=texts, data=json_values),
    "refresh": document(token=texts),
    "sub_refresh": document(channel=texts, token=texts),
}
commands = st.one_of(
    [st.fixed_dictionaries({"id": ids, name: content}) for name, content in members.items()]
)

# ------------------------------------------------------------ what they are sent

client_infos = st.builds(
    p.ClientInfo, user=texts, client=texts, conn_info=maybe_raws, chan_info=maybe_raws
)
tags = st.dictionaries(texts, texts, max_size=3)
publication_results = st.builds(
    p.PublicationResult,
    data=raws,
    info=st.none() | client_infos,
    offset=offsets,
    tags=tags,
    time=offsets,
)
subscribe_results = st.builds(
    p.SubscribeResult,
    expires=flags,
    ttl=uint32s,
    recoverable=flags,
    epoch=texts,
    publications=st.lists(publication_results, max_size=3),
    recovered=flags,
    offset=offsets,
    positioned=flags,
    data=maybe_raws,
    was_recovering=flags,
)
connect_results = st.builds(
    p.ConnectResult,
    client=names,
    version=names,
    expires=flags,
    ttl=uint32s,
    data=maybe_raws,
    subs=st.dictionaries(texts, subscribe_results, max_size=3),
    ping=uint32s,
    pong=flags,
    session=texts,
    node=texts,
    time=offsets,
)
codes = st.integers(1, 300) | st.integers(1, UINT32)
empty = st.just(p.Empty())
results: dict[str, st.SearchStrategy[Any]] = {
    "error": st.builds(p.ErrorResult, code=codes, message=names, temporary=flags),
    "connect": connect_results,
    "subscribe": subscribe_results,
    "unsubscribe": empty,
    "publish": empty,
    "presence": st.builds(
        p.PresenceResult,
        presence=st.dictionaries(
            texts, client_infos.map(msgspec.json.encode).map(msgspec.Raw), max_size=3
        ),
    ),
    "presence_stats": st.builds(p.PresenceStatsResult, num_clients=uint32s, num_users=uint32s),
    "history": st.builds(
        p.HistoryResult,
        publications=st.lists(publication_results, max_size=3),
        epoch=texts,
        offset=offsets,
    ),
    "ping": empty,
    "rpc": st.builds(p.RpcResult, data=maybe_raws),
    "refresh": st.builds(p.RefreshResult, client=names, version=names, expires=flags, ttl=uint32s),
    "sub_refresh": st.builds(p.SubRefreshResult, expires=flags, ttl=uint32s),
}
replies = st.one_of(
    [st.builds(p.Reply, id=ids, **{name: result}) for name, result in results.items()]
)
endings = st.builds(p.Ending, code=codes, reason=names)
pushed: dict[str, st.SearchStrategy[Any]] = {
    "join": st.builds(p.Visit, info=client_infos),
    "leave": st.builds(p.Visit, info=client_infos),
    "unsubscribe": endings,
    "subscribe": st.builds(
        p.SubscribePush,
        recoverable=flags,
        epoch=texts,
        offset=offsets,
        positioned=flags,
        data=maybe_raws,
    ),
    "message": st.builds(p.MessagePush, data=raws),
    "connect": connect_results,
    "disconnect": endings,
    "refresh": st.builds(p.RefreshPush, expires=flags, ttl=uint32s),
}
pushes = st.one_of(
    [st.builds(p.Push, channel=texts, **{name: content}) for name, content in pushed.items()]
)

publications = st.builds(
    Publication,
    channel=names,
    offset=offsets,
    data=json_values.map(msgspec.json.encode),
    info=st.just(b"") | client_infos.map(msgspec.json.encode),
    tags=st.none() | tags,
    time_ms=offsets,
)
visits = st.builds(
    Publication,
    channel=names,
    offset=st.just(0),
    data=client_infos.map(msgspec.json.encode),
    kind=st.sampled_from([KIND_JOIN, KIND_LEAVE]),
)
