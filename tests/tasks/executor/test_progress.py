import logging

import pytest

import tasks.executor.progress
from tasks.executor.progress import EVERY_S, ProgressLines


class Clock:
    """Stands for the time module; hands out the time that it is told."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tasks.executor.progress, "time", made)
    return made


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="sdt.stage")
    return caplog


def test_a_line_says_where_the_shards_are_how_fast_they_go_and_how_long_it_takes(
    clock: Clock, lines: pytest.LogCaptureFixture
) -> None:
    progress = ProgressLines("extract", 10)
    progress.rows = 500
    clock.now += 10
    progress.tell(done=4, existing=1, in_flight=2, waiting=3, set_aside=1)
    assert lines.messages == [
        "extract: 4/10 shards done (1 found), 2 in flight, 3 waiting, 1 set aside, 50 rows/s, ETA 0:12"
    ]


def test_a_line_waits_for_the_last_one_to_age_and_longer_where_nothing_was_done(
    clock: Clock, lines: pytest.LogCaptureFixture
) -> None:
    progress = ProgressLines("extract", 3)
    seen = []
    for second in range(1, 61):
        clock.now += 1
        progress.tell(done=int(second >= 8), existing=0, in_flight=1, waiting=1, set_aside=0)
        if len(lines.messages) > len(seen):
            seen.append(second)
    assert seen == [8, 38]


def test_the_last_line_is_told_at_once(clock: Clock, lines: pytest.LogCaptureFixture) -> None:
    progress = ProgressLines("extract", 1)
    clock.now += EVERY_S / 100
    progress.tell(done=0, existing=0, in_flight=0, waiting=0, set_aside=1)
    assert len(lines.messages) == 1 and lines.messages[0].endswith("1 set aside, 0 rows/s, ETA 0:00")
