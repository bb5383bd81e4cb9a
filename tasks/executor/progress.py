"""How far a stage has come, in a log line every few seconds, and what it waits for before it begins."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

log = logging.getLogger("sdt.stage")

EVERY_S = 5.0
_STILL_EVERY_S = 30.0  # where nothing has been finished since the last line
_SLOW_S = 10.0  # before a line says what is waited for


@contextmanager
def told_if_slow(line: str) -> Iterator[None]:
    """Log the line once if this takes long."""
    # In the caller's context: a log handler may ask it which run a line belongs to.
    timer = threading.Timer(_SLOW_S, copy_context().run, (log.info, line))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class ProgressLines:
    """Says of a stage's shards how many are where, how fast rows are done, and how long the rest will take."""

    def __init__(self, name: str, shards: int) -> None:
        self.rows = 0
        """Rows of the shards that are done."""
        self._name, self._shards = name, shards
        self._started = self._last_line = time.monotonic()
        self._done_before = 0

    def tell(self, done: int, existing: int, in_flight: int, waiting: int, set_aside: int) -> None:
        """Log where the shards are, unless the last line is too young; the last one is always told.

        ``existing`` are those of ``done`` whose files existed before.
        """
        now, outstanding = time.monotonic(), waiting + in_flight
        still = done == self._done_before and outstanding > 0
        if outstanding and now - self._last_line < (_STILL_EVERY_S if still else EVERY_S):
            return
        self._last_line, self._done_before = now, done
        elapsed = max(now - self._started, 1e-9)
        rate = self.rows / elapsed
        minutes, seconds = divmod(int(elapsed / max(done, 1) * outstanding), 60)
        remaining = f"{minutes}:{seconds:02d}" if done or not outstanding else "unknown"
        log.info(
            f"{self._name}: {done}/{self._shards} shards done ({existing} found), {in_flight} in flight, "
            f"{waiting} waiting, {set_aside} set aside, {rate:.0f} rows/s, ETA {remaining}",
            extra={"stage": self._name, "done": done, "shards": self._shards, "rows_per_s": round(rate, 1)},
        )
