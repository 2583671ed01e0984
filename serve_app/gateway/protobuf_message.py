"""Protobuf messages of msgspec structs: field numbers in, a reader and a writer out.

Written by hand rather than on the google package: that takes fields of a wrong wire type for
unknown ones, and is slower here, as its objects had to be copied into ours. Differences to a full
parser, none of which an SDK meets: groups are refused, numbers out of a field's range are refused
instead of cut, and of a sub-message that comes twice the last counts instead of a merge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

FIELDS_MOST: Final = 1_024
"""Of one message; repeated ones count each time. Bounds the work that a hostile frame makes: what
clients send has at most 13 fields and a map of their subscriptions."""

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_UINT64: Final = 1 << 64
_ONE_BYTE: Final = [bytes((n,)) for n in range(128)]

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def varint(number: int) -> bytes:
    """Groups of seven bits, the lowest first; 0 <= number < 2**64."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 1 << 21:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    groups = bytearray()
    while number >= 128:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number and the position after it. Raises ValueError, IndexError at the end of `data`."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 128:
            if number >= _UINT64:
                raise ValueError("a varint of more than 64 bits")
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def delimited(content: bytes) -> bytes:
    """With its length in front."""
    return varint(len(content)) + content


class _Field(NamedTuple):
    """How one field is read and written. `read` takes the number of a varint, or the data, start
    and end of other content; of a map it returns a key and a value. `write` gives key and content
    of a value that is not zero."""

    name: str
    wire_type: int
    is_map: bool
    read: Callable[..., Any]
    write: Callable[[Any], bytes]


class Message(Generic[_Struct]):
    """A struct in Protobuf. `numbers` by field name, with the `Message` of what the field holds
    where those are structs; fields without a number are neither sent nor read."""

    def __init__(self, struct: type[_Struct], **numbers: int | tuple[int, Message[Any]]) -> None:
        self._struct = struct
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        types = {field.name: field.type for field in info.fields}
        self._fields: dict[int, _Field] = {}
        for name, value in numbers.items():
            number, form = value if isinstance(value, tuple) else (value, None)
            self._fields[number] = _field(name, number, _present(types[name]), form)
        self._writers = [(field.name, field.write) for field in self._fields.values()]

    def encode(self, value: _Struct) -> bytes:
        content = b""
        for name, write in self._writers:
            if member := getattr(value, name):
                content += write(member)
        return content

    def decode(self, data: bytes, position: int, end: int) -> _Struct:
        """Raises ValueError or IndexError for what is no such message."""
        fields = self._fields
        values: dict[str, Any] = {}
        left = FIELDS_MOST
        while position < end:
            left -= 1
            if left < 0:
                raise ValueError("too many fields")
            tag = data[position]
            position += 1
            if tag >= 128:
                tag, position = read_varint(data, position - 1)
            wire_type = tag & 7
            number = start = 0
            if wire_type in (_BYTES, _VARINT):
                number = data[position]
                position += 1
                if number >= 128:
                    number, position = read_varint(data, position - 1)
                if wire_type == _BYTES:
                    start, position = position, position + number
            elif wire_type == _FIXED64:
                position += 8
            elif wire_type == _FIXED32:
                position += 4
            else:
                raise ValueError("a group, or no wire type at all")
            if position > end:
                raise ValueError("truncated")
            field = fields.get(tag >> 3)
            if field is None:
                if tag < 8:
                    raise ValueError("field number 0")
            elif field.wire_type != wire_type:
                raise ValueError("wrong wire type")
            elif wire_type == _VARINT:
                values[field.name] = field.read(number)
            elif field.is_map:
                name, value = field.read(data, start, position)
                values.setdefault(field.name, {})[name] = value
            else:
                values[field.name] = field.read(data, start, position)
        return self._struct(**values)


def _present(type_: inspect.Type) -> inspect.Type:
    """Without the None that stands for a field that is not there."""
    if not isinstance(type_, inspect.UnionType):
        return type_
    (alone,) = (t for t in type_.types if not isinstance(t, inspect.NoneType))
    return alone


def _field(name: str, number: int, type_: inspect.Type, form: Message[Any] | None) -> _Field:
    key = varint(number << 3 | _BYTES)
    match type_:
        case inspect.BoolType():
            flag = varint(number << 3 | _VARINT) + b"\x01"
            return _Field(name, _VARINT, False, bool, lambda value: flag)
        case inspect.IntType():
            return _integer_field(name, varint(number << 3 | _VARINT), type_)
        case inspect.StrType():
            return _Field(name, _BYTES, False, _read_text, lambda v: _tagged(key, v.encode()))
        case inspect.RawType():
            return _Field(name, _BYTES, False, _read_raw, lambda v: _tagged(key, bytes(v)))
        case inspect.StructType() if form is not None:
            encode = form.encode
            return _Field(name, _BYTES, False, form.decode, lambda v: _tagged(key, encode(v)))
        case inspect.ListType() if form is not None:
            return _list_field(name, key, form)
        case inspect.DictType():
            return _map_field(name, key, form)
        case _:
            raise TypeError(f"{name}: no form in Protobuf for {type_}")


def _tagged(key: bytes, content: bytes) -> bytes:
    length = len(content)
    return key + (_ONE_BYTE[length] if length < 128 else varint(length)) + content


def _read_text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode()


def _read_raw(data: bytes, start: int, end: int) -> msgspec.Raw:
    return msgspec.Raw(data[start:end])


def _integer_field(name: str, key: bytes, type_: inspect.IntType) -> _Field:
    low = -(1 << 63) if type_.ge is None else type_.ge
    high = (1 << 63) - 1 if type_.le is None else type_.le

    def read(number: int) -> int:
        if low < 0 and number >> 63:
            number -= _UINT64  # int32 and int64 are sent in two's complement of 64 bits
        if not low <= number <= high:
            raise ValueError("out of range")
        return number

    return _Field(name, _VARINT, False, read, lambda value: key + varint(value % _UINT64))


def _list_field(name: str, key: bytes, form: Message[Any]) -> _Field:
    """Only written: nothing that clients send and we read has a list."""

    def read(data: bytes, start: int, end: int) -> Any:
        raise TypeError(name)

    def write(values: list[Any]) -> bytes:
        return b"".join([_tagged(key, form.encode(value)) for value in values])

    return _Field(name, _BYTES, False, read, write)


class _Entry(msgspec.Struct, frozen=True):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw()


def _map_field(name: str, key: bytes, form: Message[Any] | None) -> _Field:
    """Of structs, or of strings where there is no form."""

    def read(data: bytes, start: int, end: int) -> tuple[str, Any]:
        entry = _ENTRY.decode(data, start, end)
        value = bytes(entry.value)
        return entry.key, value.decode() if form is None else form.decode(value, 0, len(value))

    def write(values: dict[str, Any]) -> bytes:
        content = b""
        for name, value in values.items():
            encoded = value.encode() if form is None else form.encode(value)
            content += _tagged(key, _ENTRY.encode(_Entry(name, msgspec.Raw(encoded))))
        return content

    return _Field(name, _BYTES, True, read, write)


_ENTRY: Final = Message(_Entry, key=1, value=2)
