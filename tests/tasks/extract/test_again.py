"""Extract again, after something changed: with an extractor that writes down what it is shown."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sdt_model.config import Modality
from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.layout import archive_manifest_path, features_folder, timing_path, utterances_folder
from tasks.archive.manifests import read_archive
from tasks.archive.sharding import shard_of
from tasks.config.stages import ExtractConfig, ExtractorNames, Storage
from tasks.executor.shard import Shard, ShardOutput, describe_shard, run_shard, shard_columns
from tasks.extract.stage import extract, extract_stage
from tasks.extractors.base import Extracted, Extractor, ExtractorSpec
from tasks.extractors.loop import SOUND, describe_each
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import Span
from tasks.extractors.registry import chosen_spec, register
from tasks.features.table import TOO_LARGE
from tasks.storage.manifest import MANIFEST, Manifest, fingerprint, read_manifest
from tasks.storage.workspace import Workspace
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.media import utterances
from tests.fixtures.vectors import feature_frame

pytestmark = pytest.mark.usefixtures("counted_extractor")

Row = dict[str, object]


class Counted:
    """A vector of the number that a text ends with, or of a file's content; every call is noted in a file."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        shown = [f"{row['conversation_id']}.{row['turn']}" for row in utterances.to_pylist()]
        self._note(*shown)
        if utterances["audio"].null_count < utterances.num_rows:
            return describe_each(utterances, SOUND, media, self._read, 2)
        numbers = [float(text.split()[-1]) for text in utterances["text"].to_pylist()]
        return Extracted(
            np.array([[n, 1] for n in numbers], np.float32), np.ones(len(shown), bool), [None] * len(shown)
        )

    def _read(self, file: MediaFile, _: str, stretch: Span) -> np.ndarray:
        return np.array([float(file.view().read()), stretch.start], np.float32)

    def _note(self, *lines: str) -> None:
        with self._notes.open("a") as notes:
            notes.writelines(f"{line}\n" for line in lines)


def load(notes: str) -> Extractor:
    extractor = Counted(Path(notes))
    extractor._note("loaded")
    return extractor


@pytest.fixture
def counted_extractor() -> None:
    for modality in ("text", "audio"):
        spec = ExtractorSpec("counted", modality, 2, "none", 1, ("numpy",), f"{__name__}:load")
        register(modality, "counted", lambda notes, of=spec: replace(of, name=f"counted:{notes}", argument=notes))


@dataclass
class Bench:
    """A workspace, and what its extractor was shown since it was last asked."""

    workspace: Workspace

    @property
    def folder(self) -> Path:
        return Path(self.workspace.url).parent

    def lay(self, rows: list[Row], shards: int = 3) -> None:
        """An archive as ingest leaves it."""
        records = []
        for k in range(shards):
            held = [row for row in rows if shard_of(str(row["conversation_id"]), shards) == k]
            counts = {name: sum(name in row for row in held) for name in ("text", "audio", "video")}
            output = ShardOutput(utterances(*held), counts)
            shard = Shard(k, f"{utterances_folder('a', 'laid')}/part-{k:05d}.parquet")
            records.append(run_shard(self.workspace, shard, lambda _, output=output: output))
        identity = fingerprint([record.sha256 for record in records])
        facts = IngestFacts(media_root=str(self.folder)).plain()
        Manifest(stage="ingest", fingerprint=identity, shards=tuple(records), columns={}, facts=facts).write(
            self.workspace, archive_manifest_path("a")
        )

    def config(self, modality: Modality, storage: Storage) -> ExtractConfig:
        names = ExtractorNames.model_validate({modality: f"counted:{self.folder / 'notes'}", "storage": storage})
        return ExtractConfig(workspace=self.workspace.url, ray=LOCAL, archive="a", extractors=names, workers=1)

    def extract(self, modality: Modality = "text", storage: Storage = "float32") -> Manifest:
        """In this process: what a worker does, shard by shard."""
        config = self.config(modality, storage)
        spec = chosen_spec(modality, config.extractors, self.workspace)
        before = read_manifest(self.workspace, f"{features_folder('a', modality, spec.fingerprint)}/{MANIFEST}")
        stage = extract_stage(self.workspace, config, read_archive(self.workspace, "a"), spec, before)
        work = stage.prepare()
        records = tuple(
            describe_shard(self.workspace, shard)
            if self.workspace.exists(shard.path)
            else run_shard(self.workspace, shard, work)
            for shard in stage.shards
        )
        columns = shard_columns(self.workspace, records[0].path)
        manifest = Manifest(
            stage=stage.name, fingerprint=stage.fingerprint, shards=records, columns=columns, facts=stage.facts.plain()
        )
        manifest.write(self.workspace, stage.manifest_path)
        return manifest

    def extract_all(self) -> Manifest:
        manifest = extract(self.config("text", "float32"), "text")
        assert manifest is not None
        return manifest

    def shown(self) -> list[str]:
        notes = self.folder / "notes"
        lines = notes.read_text().split() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return lines

    def vectors(self, manifest: Manifest) -> dict[str, list[float] | None]:
        tables = [feature_frame(self.workspace.read_table(shard.path)) for shard in manifest.shards]
        rows = pl.concat(tables).select("conversation_id", "turn", "vector").rows()
        return {f"{name}.{turn}": vector for name, turn, vector in rows}


@pytest.fixture
def bench(workspace: Workspace) -> Bench:
    return Bench(workspace)


def said(conversations: int, **more: object) -> list[Row]:
    """Two utterances a conversation, the second of which repeats what others say."""
    return [
        {"conversation_id": f"c{number}", "turn": turn, "text": f"so {number * (1 - turn)}", **more}
        for number in range(conversations)
        for turn in range(2)
    ]


def test_each_run_makes_what_it_lacks_and_leaves_the_shards_of_the_manifest_before(bench: Bench) -> None:
    bench.lay(said(4))
    first = bench.extract_all()
    assert sorted(set(bench.shown())) == sorted({*bench.vectors(first), "loaded"})
    assert bench.extract_all() == first and bench.shown() == []
    made = [{shard.path for shard in first.shards}]
    for words in (5, 6):
        bench.lay([*said(4), {"conversation_id": "c0", "turn": 9, "text": f"so {words}"}])
        made.append({shard.path for shard in bench.extract_all().shards})
        assert bench.shown() == ["loaded", "c0.9"]
    files = [path for path in bench.workspace.files("features") if path.endswith(".parquet")]
    there = {path for path in files if "/timing/" not in path}
    assert there == made[1] | made[2] and len(made[0] - there) == 1
    assert set(files) - there <= {timing_path(path) for path in there}


def test_where_the_manifest_was_lost_no_model_is_loaded(bench: Bench) -> None:
    bench.lay(said(6))
    first = bench.extract()
    bench.shown()
    bench.workspace.remove(f"{first.shards[0].path.rsplit('/', 1)[0]}/_manifest.json")
    assert bench.extract() == first and bench.shown() == []


def test_an_added_conversation_costs_itself(bench: Bench) -> None:
    bench.lay(said(6))
    first = bench.extract()
    bench.shown()
    bench.lay([*said(6), {"conversation_id": "new", "turn": 0, "text": "quite 77"}])
    second = bench.extract()
    assert bench.shown() == ["loaded", "new.0"]
    assert bench.vectors(second) == bench.vectors(first) | {"new.0": [77, 1]}
    timings = [timing_path(shard.path) for shard in second.shards if shard not in first.shards]
    assert [bench.workspace.read_table(path)["utterances"].to_pylist() for path in timings] == [[1]]


@pytest.mark.parametrize("shards", [2, 3, 5])
def test_what_is_not_read_and_the_number_of_shards_cost_no_model(bench: Bench, shards: int) -> None:
    bench.lay(said(8))
    first = bench.extract()
    bench.shown()
    bench.lay(said(8, emotion="joy", speaker="Ada"), shards)
    second = bench.extract()
    assert bench.shown() == [] and bench.vectors(second) == bench.vectors(first)
    assert len(second.shards) == shards and not {s.path for s in first.shards} & {s.path for s in second.shards}


def test_what_was_copied_is_the_same_file_as_what_is_made_anew(bench: Bench) -> None:
    bench.lay(said(4))
    bench.extract()
    bench.lay(said(8))
    second = bench.extract()
    bench.workspace.remove_folder("features")
    assert bench.extract() == second


def test_a_recording_that_changed_is_read_again_with_its_shard_and_what_it_lacked_is_not(bench: Bench) -> None:
    for number in range(4):
        (bench.folder / f"{number}.num").write_text(str(number))
    rows: list[Row] = [
        {
            "conversation_id": "c",
            "turn": turn,
            "audio": f"{turn // 2}.num",
            "start_s": turn % 2,
            "end_s": turn % 2 + 1.5,
        }
        for turn in range(10)
    ]
    bench.lay(rows, shards=1)
    first = bench.extract("audio")
    assert bench.shown() == ["loaded", *(f"c.{turn}" for turn in range(10))]
    assert first.counts["failed"] == 2  # 4.num is not there
    assert bench.workspace.read_table(timing_path(first.shards[0].path))["media_s"].to_pylist() == [8 * 1.5]
    (bench.folder / "2.num").write_text("22.5")
    bench.lay([*rows, {"conversation_id": "c", "turn": 99, "text": "silent"}], shards=1)
    second = bench.extract("audio")
    assert bench.shown() == ["loaded", "c.4", "c.5"]
    changed = {"c.4": [22.5, 0], "c.5": [22.5, 1], "c.99": None}
    assert bench.vectors(second) == bench.vectors(first) | changed and second.counts["failed"] == 2


def test_half_precision_is_another_folder_and_refuses_what_it_cannot_hold(bench: Bench) -> None:
    bench.lay([*said(3), {"conversation_id": "c1", "turn": 8, "text": "so 65519"},
                  {"conversation_id": "c1", "turn": 9, "text": "so 65521"}])  # fmt: skip
    full, half = bench.extract(), bench.extract(storage="float16")
    folders = {manifest.shards[0].path.rsplit("/", 1)[0] for manifest in (full, half)}
    assert len(folders) == 2 and FeatureFacts.of(half).storage == "float16" and full.counts["failed"] == 0
    assert "halffloat" in half.columns["vector"] and FeatureFacts.of(half).extractor == FeatureFacts.of(full).extractor
    rounded = {"c1.8": [65504, 1], "c1.9": None}
    assert bench.vectors(half) == bench.vectors(full) | rounded
    reasons = [bench.workspace.read_table(shard.path)["reason"].to_pylist() for shard in half.shards]
    assert sorted(reason for found in reasons for reason in found if reason) == [TOO_LARGE.format("float16")]
    bench.shown()
    bench.lay(said(3))
    assert bench.extract(storage="float16").counts["failed"] == 0 and bench.shown() == []
