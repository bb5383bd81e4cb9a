"""Which shard a worker does next: shards of one source stay with one worker, which then need read it only once."""

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ShardQueue(Generic[Item]):
    """What waits for a worker, each with the source that it reads; of one source in the order it came.

    A worker stays with a source until nothing of it waits. It then takes the first that no other worker is at, and
    where there is none, it helps with the one of which most waits.
    """

    def __init__(self, items: Iterable[tuple[str, Item]] = ()) -> None:
        self._of: dict[str, deque[Item]] = {}
        self._at: dict[int, str] = {}  # worker -> source
        for source, item in items:
            self.add(source, item)

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, source: str, item: Item) -> None:
        """At the end of those of its source."""
        self._of.setdefault(source, deque()).append(item)

    def next(self, worker: int) -> Item:
        """What the worker is to do; raises where nothing waits."""
        source = self._at.get(worker)
        if source is None or source not in self._of:
            self._at.pop(worker, None)
            source = self._at[worker] = self._another()
        item = self._of[source].popleft()
        if not self._of[source]:
            del self._of[source]
        return item

    def _another(self) -> str:
        taken = set(self._at.values())
        free = next((source for source in self._of if source not in taken), None)
        return max(self._of, key=lambda source: len(self._of[source])) if free is None else free
