"""Which days are chosen, and why the others are out of date."""

import pytest

from tasks.archive.facts import LabelFacts
from tasks.config.date_range import UNDATED
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.label.days import all_out_of_date, archive_days, check_dated, chosen_days
from tasks.storage.manifest import Manifest, ShardRecord

FIRST, SECOND, THIRD = "2026-03-01", "2026-03-02", "2026-03-03"


def manifest(*days: dict[str, str]) -> Manifest:
    """Shards whose days have this content, one row each."""
    shards = [
        ShardRecord(
            index=i, path=f"p{i}", rows=1, bytes=1, sha256="0",
            facts={"days": {day: {"rows": 1, "content": content} for day, content in held.items()}},
        )
        for i, held in enumerate(days)
    ]  # fmt: skip
    return Manifest(stage="s", fingerprint="f", shards=tuple(shards), columns={})


ARCHIVE = manifest({FIRST: "1", UNDATED: "5"}, {FIRST: "2", SECOND: "3"})


def labels(content: str) -> Manifest:
    facts = LabelFacts(archive="a", day=FIRST, content=content, model_id="m", emotions=("joy",))
    return Manifest(stage="label", fingerprint="f", shards=(), columns={}, facts=facts.plain())


def test_a_day_is_what_all_shards_hold_of_it() -> None:
    days = archive_days(ARCHIVE, "a", [None])
    assert list(days) == [FIRST, SECOND, UNDATED] and days[FIRST].rows == 2
    assert [len(day.shards) for day in days.values()] == [2, 1, 1]
    again = archive_days(manifest({FIRST: "3", UNDATED: "5", SECOND: "3"}), "a", [None])
    assert {name: day.content for name, day in again.items()} == {name: day.content for name, day in days.items()}


def test_what_no_night_labels_is_pointed_out_and_an_archive_of_nothing_else_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_dated(manifest({FIRST: "1"}), "calls")
    check_dated(manifest(), "calls")
    assert caplog.messages == []
    check_dated(ARCHIVE, "calls")
    assert "'calls' has 1 utterances in conversations without a time" in caplog.text
    with pytest.raises(WorkflowError, match=r"and no others: there is no day to label\n.*sdt label calls"):
        check_dated(manifest({UNDATED: "1"}, {UNDATED: "2"}), "calls")


def test_features_that_came_or_went_change_their_day() -> None:
    before = archive_days(ARCHIVE, "a", [None, None])
    after = archive_days(ARCHIVE, "a", [None, manifest({SECOND: "7"})])
    assert {name for name in before if before[name].content != after[name].content} == {SECOND}
    swapped = archive_days(ARCHIVE, "a", [manifest({SECOND: "7"}), None])
    assert swapped[SECOND].content != after[SECOND].content


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ({}, [FIRST, SECOND, UNDATED]),
        ({"since": SECOND}, [SECOND]),
        ({"until": FIRST}, [FIRST]),
        ({"since": SECOND, "until": SECOND, "look_back": 1}, [SECOND]),
        ({"since": THIRD, "until": THIRD, "look_back": 2}, [SECOND]),
        ({"since": THIRD, "until": THIRD}, []),
    ],
)
def test_the_days_asked_for_and_of_those_looked_back_to_the_ones_out_of_date(config: dict, chosen: list) -> None:
    days = archive_days(ARCHIVE, "a", [])
    labelled = {FIRST: labels(days[FIRST].content), SECOND: labels("old")}
    assert [day.name for day in chosen_days(LabelConfig(archive="a", **config), days, labelled)] == chosen


def test_why_a_day_is_out_of_date() -> None:
    days = archive_days(ARCHIVE, "a", [])
    labelled = {FIRST: labels(days[FIRST].content), SECOND: labels("old"), THIRD: labels("gone")}
    assert all_out_of_date(days, labelled) == {
        SECOND: "its conversations changed", THIRD: "it has no conversations any more", UNDATED: "never labelled",
    }  # fmt: skip


def test_days_that_cannot_be_are_refused() -> None:
    for wrong, said in (({"since": SECOND, "until": FIRST}, "is after until"), ({"look_back": 1}, "look_back needs")):
        with pytest.raises(ValueError, match=said):
            LabelConfig(archive="a", **wrong)
