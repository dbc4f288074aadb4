"""What is kept because making it again is dear: bounded by weight, the least used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by key, together no heavier than `capacity`. A value that alone is heavier is not kept."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.weight = 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T, weight: int) -> None:
        if weight > self.capacity:
            return
        if key in self._values:
            self.weight -= self._values.pop(key)[1]
        self.weight += weight
        self._values[key] = (value, weight)
        while self.weight > self.capacity:
            _, (_, its) = self._values.popitem(last=False)
            self.weight -= its

    def __len__(self) -> int:
        return len(self._values)
