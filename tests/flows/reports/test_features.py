from flows.reports.features import describe_page, list_page, prune_page
from tasks.archive.facts import FeatureFacts
from tasks.features.catalog import FeatureSet
from tasks.features.describe import Cost, Description, Values
from tasks.features.prune import Removal
from tasks.storage.manifest import Manifest, ShardRecord

COUNTS = {"rows": 4000, "present": 3000, "failed": 600, "absent": 400}
SHARD = ShardRecord(index=0, path="p", rows=4000, bytes=8_000_000, sha256="0", counts=COUNTS)
FACTS = FeatureFacts(
    modality="audio", extractor="logmel", extractor_fingerprint="0123", dim=231, storage="float16",
    archive_fingerprint="1",
)  # fmt: skip
MANIFEST = Manifest(stage="extract-audio", fingerprint="1", shards=(SHARD,), columns={}, facts=FACTS.plain())


def features(manifest: Manifest | None = MANIFEST, models: tuple[str, ...] = ()) -> FeatureSet:
    return FeatureSet("features/calls/audio/0123", {"p": 8_000_000}, manifest, None, False, models)


def test_a_row_for_each_with_the_models_that_take_it_and_an_unfinished_one_without_numbers() -> None:
    whole, unfinished = list_page([features(models=("a", "b", "c", "d")), features(None)]).splitlines()[2:]
    assert [cell.strip() for cell in whole.strip("|").split("|")] == [
        "calls", "audio", "logmel, float16", "0123", "231", "4,000", "3,000", "600", "8.00 MB", "out of date",
        "a, b, and 2 more",
    ]  # fmt: skip
    assert [cell.strip() for cell in unfinished.strip("|").split("|")][4:8] == [""] * 4 and "unfinished" in unfinished
    assert "sdt extract ARCHIVE" in list_page([])


def test_the_description_has_coverage_values_cost_and_the_most_frequent_reasons() -> None:
    reasons = {f"reason {number:02d}": 60 - number for number in range(12)}
    partial, values = {"digital silence": 2}, Values(0.5, 1.25, 3)
    found = Description(features(), 4000, 3000, reasons, partial, values, 8_000_000, Cost(12.5, None))
    page = describe_page("calls", [found])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "logmel" in line]
    assert rows[0] == ["audio", "logmel, float16", "0123", "4,000", "75.0%", "346", "654", "out of date"]
    assert rows[1] == ["audio", "logmel, float16", "231", "0.5", "1.25", "3", "2,000", "12.50", ""]
    assert rows[2][2:] == ["reason 00", "60"] and rows[-2][2:] == ["other reasons", "99"]
    assert rows[-1][2:] == ["digital silence", "2"] and len(rows) == 14
    nothing = Description(features(), 0, 0, {}, {}, None, 0, Cost(None, None))
    assert "no vector because" not in describe_page("calls", [nothing])


def test_what_would_go_is_another_page_than_what_went() -> None:
    removals = [Removal("features/a", ("x", "y"), 2_500_000_000, False, "superseded"), Removal("b", (), 0, True, "why")]
    shown, done = prune_page(removals, removed=False), prune_page(removals, removed=True)
    assert "With --yes this frees 2.50 GB." in shown and "Removed: 2.50 GB" in done
    assert "| features/a | 2     | 2.50 GB | superseded |" in shown and "| b          | all" in shown
    assert prune_page([], removed=True) == "There is nothing to remove."
