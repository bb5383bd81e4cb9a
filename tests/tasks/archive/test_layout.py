"""Every path that is taken apart somewhere gives back what it was built from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdt_model.config import MODALITIES
from tasks.archive.layout import (
    DayPlace,
    FeaturesPlace,
    archive_features_folder,
    archive_manifest_path,
    archive_of,
    archive_of_manifest,
    day_folder,
    day_manifest,
    day_of,
    day_of_manifest,
    encoder_folder,
    evaluation_path,
    features_folder,
    features_path,
    features_place,
    label_leases,
    label_path,
    labels_folder,
    making_leases,
    manifest_path,
    model_folder,
    name_of_description,
    rejected_folder,
    scan_folder,
    scores_path,
    shard_file,
    shard_number,
    shard_of_labels,
    timing_path,
    utterances_folder,
)
from tasks.config.date_range import UNDATED
from tasks.storage.manifest import ShardRecord

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
days = st.dates().map(str) | st.just(UNDATED)
indices = st.integers(0, 10**6)
records = st.builds(
    lambda index, sha: ShardRecord(index=index, path="p", rows=0, bytes=0, sha256=sha * 4), indices, hashes
)


@given(names, st.sampled_from(MODALITIES), hashes, records)
def test_features(archive: str, modality: str, extractor: str, record: ShardRecord) -> None:
    place = FeaturesPlace(archive, modality, extractor)
    folder = features_folder(*place)
    shard = features_path(folder, record)
    for path in (folder, manifest_path(folder), shard, timing_path(shard)):
        assert features_place(path) == place
    assert shard_number(shard) == record.index and archive_of(shard) == archive
    assert shard_number(timing_path(shard)) is shard_number(manifest_path(folder)) is None
    assert folder.startswith(f"{features_folder(archive, modality)}/")
    assert folder.startswith(f"{archive_features_folder(archive)}/")


@given(names, days, indices, hashes)
def test_labels(archive: str, day: str, shard: int, run_id: str) -> None:
    place, path = DayPlace(archive, day), label_path(archive, day, shard, run_id)
    assert day_of(path) == day_of(day_manifest(*place)) == day_of_manifest(day_manifest(*place)) == place
    assert day_of_manifest(path) is None and day_of(day_folder(*place)) is None
    assert shard_of_labels(path) == shard and archive_of(path) == archive
    assert path.startswith(f"{labels_folder(archive)}/")


@given(names, hashes, indices)
def test_archives(archive: str, ingest: str, index: int) -> None:
    manifest = archive_manifest_path(archive)
    assert archive_of_manifest(manifest) == archive_of(manifest) == archive
    for folder in (utterances_folder, rejected_folder, scan_folder):
        path = shard_file(folder(archive, ingest), index)
        assert archive_of(path) == archive and archive_of_manifest(path) is None
        assert path.startswith(f"{folder(archive)}/")


@given(names)
def test_models_and_encoders(name: str) -> None:
    for folder in (model_folder(name), encoder_folder(name)):
        assert name_of_description(f"{folder}/bundle.json", "bundle.json") == name
        assert name_of_description(f"{folder}/metrics.json", "bundle.json") is None
        assert name_of_description(f"{folder}/0/bundle.json", "bundle.json") is None


@pytest.mark.parametrize(
    "path",
    ["models/production.json", "models/.runs/bundle.json", "models/.runs/sdt-a/bundle.json", "features/a/text"],
)
def test_what_is_no_such_path(path: str) -> None:
    assert name_of_description(path, "bundle.json") is features_place(path) is day_of(path) is None
    assert archive_of_manifest(path) is shard_number(path) is None
    with pytest.raises(ValueError, match="is no file of labels"):
        shard_of_labels(path)


def test_the_paths_that_workspaces_have() -> None:
    """An old workspace goes on working: these stand in it."""
    record = ShardRecord(index=3, path="p", rows=0, bytes=0, sha256="0123456789abcdef")
    folder = features_folder("calls", "text", "f0")
    assert [
        archive_manifest_path("calls"),
        shard_file(utterances_folder("calls", "f1"), 3),
        shard_file(rejected_folder("calls", "f1"), 3),
        timing_path(features_path(folder, record)),
        label_path("calls", "2026-03-01", 3, "r"),
        day_manifest("calls", UNDATED),
        model_folder("sdt-1"),
        encoder_folder("calls-1"),
        evaluation_path("calls", "e"),
        scores_path("calls", "sdt-1", "s"),
        label_leases("calls"),
        making_leases("model", "sdt-1"),
    ] == [
        "archives/calls/_manifest.json",
        "archives/calls/utterances/f1/part-00003.parquet",
        "archives/calls/rejected/f1/part-00003.parquet",
        "features/calls/text/f0/timing/part-00003-0123456789ab.parquet",
        "labels/calls/date=2026-03-01/part-00003-r.parquet",
        "labels/calls/date=__HIVE_DEFAULT_PARTITION__/_manifest.json",
        "models/sdt-1",
        "encoders/calls-1",
        "evaluations/calls/e.json",
        "evaluations/calls/scores/sdt-1-s.parquet",
        "leases/calls",
        "leases/.models/sdt-1",
    ]
