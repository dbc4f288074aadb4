"""Reads vector tiles (version 2.1 of their specification) with nothing but what protobuf says of bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Feature:
    """One feature: its attributes, and for each part the steps from the tile's upper left corner."""

    kind: int
    """1: points, 2: lines, 3: areas."""
    attributes: dict[str, Any] = field(default_factory=dict)
    parts: list[list[tuple[int, int]]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    @property
    def at(self) -> tuple[int, int]:
        """Where a point lies."""
        ((point,),) = self.parts
        return point


def read(tile: bytes) -> dict[str, list[Feature]]:
    """The features of each layer."""
    return dict(_layer(value) for number, value in _fields(tile) if number == 3)


def _layer(data: bytes) -> tuple[str, list[Feature]]:
    fields = list(_fields(data))
    (name,) = (value.decode() for number, value in fields if number == 1)
    keys = [value.decode() for number, value in fields if number == 3]
    values = [_value(value) for number, value in fields if number == 4]
    assert [value for number, value in fields if number == 5] == [4096]
    assert [value for number, value in fields if number == 15] == [2]
    return name, [_feature(value, keys, values) for number, value in fields if number == 2]


def _feature(data: bytes, keys: list[str], values: list[Any]) -> Feature:
    fields = dict(_fields(data))
    tags = list(_varints(fields.get(2, b"")))
    attributes = {keys[key]: values[value] for key, value in zip(tags[::2], tags[1::2], strict=True)}
    return Feature(fields[3], attributes, _parts(list(_varints(fields[4]))))


def _parts(commands: list[int]) -> list[list[tuple[int, int]]]:
    parts: list[list[tuple[int, int]]] = []
    x = y = at = 0
    while at < len(commands):
        command, count = commands[at] & 7, commands[at] >> 3
        at += 1
        if command == 7:
            parts[-1].append(parts[-1][0])
            continue
        for _ in range(count):
            x, y = x + _signed(commands[at]), y + _signed(commands[at + 1])
            at += 2
            if command == 1:
                parts.append([])
            parts[-1].append((x, y))
    return parts


def _value(data: bytes) -> Any:
    ((number, value),) = _fields(data)
    match number:
        case 1:
            return value.decode()
        case 2:
            return struct.unpack("<f", value)[0]
        case 3:
            return struct.unpack("<d", value)[0]
        case 6:
            return _signed(value)
        case 7:
            return bool(value)
    return value


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The number of each field of a message, and its value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _varint(data, at)
            case 5:
                length = 4
            case other:
                raise AssertionError(f"no wire type: {other}")
        assert at + length <= len(data), "the tile ends early"
        yield tag >> 3, data[at : at + length]
        at += length


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        number, at = _varint(data, at)
        yield number


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
