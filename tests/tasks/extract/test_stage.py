"""Extract, from a real archive with sound and video files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sdt_model.config import MODALITIES, Modality
from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.layout import features_folder
from tasks.archive.manifests import read_archive
from tasks.archive.schema import features_schema
from tasks.config.stages import ExtractConfig, ExtractorNames, IngestConfig, Resources
from tasks.demo import make_demo_archive
from tasks.errors import StageFailed, WorkflowError
from tasks.extract.stage import extract
from tasks.extractors.base import Extracted, Extractor, ExtractorSpec
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import extractor_spec, register
from tasks.ingest.stage import ingest
from tasks.storage.manifest import MANIFEST, Manifest
from tasks.storage.workspace import Workspace
from tests.fixtures.archives import stamps
from tests.fixtures.encoders.pretrained import tiny_speech, tiny_text, tiny_vit
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.media import sound, write_sound, write_video
from tests.fixtures.vectors import feature_frame, vector_lists

pytestmark = pytest.mark.long

Done = tuple[Workspace, dict[Modality, Manifest]]


def run(workspace: Workspace, modality: Modality, archive: str = "a", audio: str = "") -> Manifest:
    names = ExtractorNames(audio=audio) if audio else ExtractorNames()
    manifest = extract(
        ExtractConfig(workspace=workspace.url, ray=LOCAL, archive=archive, extractors=names, workers=1), modality
    )
    assert manifest is not None
    return manifest


def make_archive(workspace: Workspace, table: Path) -> None:
    ingest(IngestConfig(workspace=workspace.url, ray=LOCAL, archive="a", kind="table", path=str(table), shards=3))


def read(workspace: Workspace, manifest: Manifest) -> pl.DataFrame:
    tables = [workspace.read_table(shard.path) for shard in manifest.shards]
    return pl.concat(
        [feature_frame(each) if "vector" in each.column_names else pl.DataFrame(pl.from_arrow(each)) for each in tables]
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A demo archive, which lacks some media and has one damaged video, with the features of all modalities."""
    folder = tmp_path_factory.mktemp("demo")
    workspace = Workspace(str(folder / "workspace"))
    make_archive(workspace, make_demo_archive(folder / "demo", conversations=4))
    return workspace, {modality: run(workspace, modality) for modality in MODALITIES}


def speak(workspace: Workspace, conversations: int) -> None:
    """Ingest so many conversations of two utterances, with sound and nothing else."""
    folder = Path(workspace.url).parent
    with (folder / "table.jsonl").open("w") as table:
        for number in range(conversations):
            write_sound(folder / f"{number}.wav", sound(1, seed=number))
            for turn in range(2):
                row = {"conversation_id": f"c{number}", "turn": turn, "audio": f"{number}.wav"}
                table.write(json.dumps(row | {"start_s": turn / 2, "end_s": turn / 2 + 0.5}) + "\n")
    make_archive(workspace, folder / "table.jsonl")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An archive of sound alone, with a shard of two conversations; no features."""
    workspace = Workspace(str(tmp_path_factory.mktemp("spoken") / "workspace"))
    speak(workspace, 6)
    return workspace


@pytest.mark.long
@pytest.mark.parametrize("modality", MODALITIES)
def test_one_row_for_every_utterance_in_their_order(done: Done, modality: Modality) -> None:
    workspace, manifests = done
    manifest, archive = manifests[modality], read_archive(workspace, "a")
    dim = {"text": 384, "audio": 88, "visual": 576}[modality]
    assert len(manifest.shards) == len(archive.shards) == 3
    for made, of in zip(manifest.shards, archive.shards, strict=True):
        features, utterances = workspace.read_table(made.path), workspace.read_table(of.path)
        assert features.schema.equals(features_schema(dim))
        assert features.select(["conversation_id", "turn"]).equals(utterances.select(["conversation_id", "turn"]))
        assert made.path.endswith(f"part-{of.index:05d}-{of.sha256[:12]}.parquet")
    spec = extractor_spec(modality, ExtractorNames().of(modality))
    facts = FeatureFacts.of(manifest)
    assert facts.extractor == spec.name and facts.dim == dim == spec.dim
    assert manifest.is_of(archive)


@pytest.mark.long
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_vector_is_null_where_media_are_absent_and_has_a_reason_where_damaged(done: Done, modality: Modality) -> None:
    workspace, manifests = done
    utterances, features = read(workspace, read_archive(workspace, "a")), read(workspace, manifests[modality])
    columns: dict[Modality, list[str]] = {"text": ["text"], "audio": ["audio", "video"], "visual": ["video"]}
    absent = utterances.select(pl.all_horizontal(pl.col(columns[modality]).is_null())).to_series()
    failed = features["reason"].is_not_null()
    assert (features["vector"].is_null() == (absent | failed)).all() and not (absent & failed).any()
    rows, gone, bad = len(utterances), int(absent.sum()), int(failed.sum())
    assert manifests[modality].counts == {"rows": rows, "present": rows - gone - bad, "failed": bad, "absent": gone}
    # The utterance without sound has a video, which has no sound track.
    assert (
        bad == {"text": 0, "audio": 1, "visual": 1}[modality] and gone == {"text": 1, "audio": 0, "visual": 1}[modality]
    )
    assert features.filter(failed)["reason"].str.contains("cannot be decoded|no audio track").all()


@pytest.mark.long
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_vector_is_that_of_its_own_utterance(done: Done, modality: Modality) -> None:
    workspace, manifests = done
    shard = max(read_archive(workspace, "a").shards, key=lambda shard: shard.rows)
    utterances = workspace.read_table(shard.path)
    media = MediaRoot(IngestFacts.of(read_archive(workspace, "a")).media_root)
    features = vector_lists(workspace.read_table(manifests[modality].shards[shard.index].path))
    extractor = extractor_spec(modality, ExtractorNames().of(modality)).load()
    for row in (0, 3, len(features) - 1):
        made = extractor(utterances.slice(row, 1), media)
        assert made.valid[0] == (features[row] is not None)
        assert features[row] is None or np.allclose(made.vectors[0], features[row], rtol=1e-5, atol=1e-5)


def test_running_again_does_nothing(done: Done) -> None:
    workspace, manifests = done
    before = stamps(workspace, "features")
    assert {modality: run(workspace, modality) for modality in MODALITIES} == manifests
    assert stamps(workspace, "features") == before


def test_a_lost_shard_alone_is_computed_and_is_the_same(workspace: Workspace) -> None:
    speak(workspace, 5)
    manifest = run(workspace, "audio")
    lost = max(manifest.shards, key=lambda shard: shard.rows).path
    marker = f"{lost.rsplit('/', 1)[0]}/{MANIFEST}"
    before, content = stamps(workspace, "features"), workspace.read_bytes(lost)
    workspace.remove(lost)
    workspace.remove(marker)
    assert run(workspace, "audio") == manifest
    after = stamps(workspace, "features")
    assert workspace.read_bytes(lost) == content and len(after) == len(before) == 4
    assert {path for path in before if before[path] != after[path]} == {lost, marker}


def test_a_grown_archive_keeps_the_features_of_the_shards_that_stay_as_they_were(workspace: Workspace) -> None:
    speak(workspace, 5)
    first = run(workspace, "audio")
    before = stamps(workspace, "features")
    speak(workspace, 6)
    second = run(workspace, "audio")
    kept = {shard.path for shard in first.shards} & {shard.path for shard in second.shards}
    assert len(kept) == 2 and second.rows == first.rows + 2 and second.fingerprint != first.fingerprint
    assert all(stamps(workspace, "features")[path] == before[path] for path in kept)
    assert second.counts == {"rows": 12, "present": 12, "failed": 0, "absent": 0}


def test_a_modality_that_the_archive_lacks_is_passed_over(spoken: Workspace) -> None:
    config = ExtractConfig(workspace=spoken.url, ray=LOCAL, archive="a")
    assert extract(config, "text") is None and extract(config, "visual") is None
    assert not spoken.files("features")


def test_a_wrong_name_fails_before_anything_is_written(spoken: Workspace) -> None:
    with pytest.raises(WorkflowError, match="archive 'b' is not in"):
        run(spoken, "audio", archive="b")
    with pytest.raises(WorkflowError, match="no audio extractor is called 'ears'"):
        run(spoken, "audio", audio="ears")
    assert not spoken.files("features")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of eight utterances with text, sound and pictures, one of whose recordings is damaged."""
    folder = tmp_path_factory.mktemp("filmed")
    with (folder / "table.jsonl").open("w") as table:
        for number in range(4):
            write_sound(folder / f"{number}.wav", sound(2, seed=number))
            write_video(folder / f"{number}.mp4")
            for turn in range(2):
                row = {"conversation_id": f"c{number}", "turn": turn, "text": "so " * (number + 3 * turn + 1)}
                media = {"audio": f"{number}.wav", "video": f"{number}.mp4", "start_s": turn / 2, "end_s": turn + 0.7}
                table.write(json.dumps(row | media) + "\n")
    (folder / "3.mp4").write_bytes(b"damaged")
    (folder / "3.wav").write_bytes(b"damaged")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("modality", MODALITIES)
def test_pretrained_encoders_give_the_same_whatever_the_shards(
    filmed: Path, tmp_path: Path, modality: Modality
) -> None:
    make = {"text": tiny_text, "audio": tiny_speech, "visual": tiny_vit}[modality]
    names = ExtractorNames.model_validate({modality: f"hf:{make(tmp_path / 'encoder')}"})
    found = []
    for shards in (1, 3):
        workspace = Workspace(str(tmp_path / f"workspace-{shards}"))
        ingest(
            IngestConfig(
                workspace=workspace.url,
                ray=LOCAL,
                archive="a",
                kind="table",
                path=f"{filmed}/table.jsonl",
                shards=shards,
            )
        )
        config = ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="a", extractors=names)
        manifest = extract(config, modality)
        assert manifest is not None and manifest.rows == 8
        assert manifest.counts["failed"] == (0 if modality == "text" else 2)
        found.append(read(workspace, manifest).sort("conversation_id", "turn"))
    one, other = (np.array(table["vector"].drop_nulls().to_list()) for table in found)
    assert one.shape == other.shape and np.abs(one - other).max() < 1e-5
    assert found[0]["reason"].to_list() == found[1]["reason"].to_list()


class Odd:
    """Vectors of ones, but for what its name says."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        rows = utterances.num_rows
        vectors, valid = np.ones((rows, 4), np.float32), np.ones(rows, bool)
        if self._how.startswith("nan"):
            vectors[1:2, 2] = np.nan
        if self._how == "nan-absent":
            valid[1:2] = False
        if self._how == "narrow":
            vectors = vectors[:, :3] if rows else vectors
        if self._how == "short":
            vectors = vectors[:-1]
        reasons: list[str | None] = [None] * (rows - (rows > 0 and self._how == "reasons"))
        return Extracted(vectors, valid, reasons)


def load(how: str) -> Extractor:
    return Odd(how)


@pytest.fixture
def odd() -> None:
    """An extractor of the test's own, forgotten after it."""
    spec = ExtractorSpec("odd", "audio", 4, "none", 1, ("numpy",), f"{__name__}:load")
    register("audio", "odd", lambda how: replace(spec, name=f"odd:{how}", argument=how))


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("nan", "odd:nan gave a value that is not finite for row 1"),
        ("narrow", r"odd:narrow gave vectors of shape \(4, 3\), .*\n  expected \(4, 4\), 4 and 4"),
        ("short", r"odd:short gave vectors of shape \(3, 4\)"),
        ("reasons", "4 flags and 3 reasons"),
    ],
)
def test_what_an_extractor_may_not_give_is_refused_with_shard_and_row(
    spoken: Workspace, how: str, complaint: str
) -> None:
    rows = [shard.rows for shard in read_archive(spoken, "a").shards]
    with pytest.raises(StageFailed, match=rf"part-0000{rows.index(4)}-\w+\.parquet: .*{complaint}"):
        run(spoken, "audio", audio=f"odd:{how}")
    folder = features_folder("a", "audio", extractor_spec("audio", f"odd:{how}").fingerprint)
    assert not any(path.endswith(MANIFEST) for path in spoken.files(folder))
    assert sum(path.endswith(".parquet") for path in spoken.files(folder)) == rows.count(0)


@pytest.mark.usefixtures("odd")
def test_what_stands_where_there_is_no_vector_does_not_matter(spoken: Workspace) -> None:
    manifest = run(spoken, "audio", audio="odd:nan-absent")
    for shard in manifest.shards:
        vectors = vector_lists(spoken.read_table(shard.path))
        assert vectors == [None if row == 1 else [1.0] * 4 for row in range(shard.rows)]
    assert manifest.counts["absent"] == sum(shard.rows > 0 for shard in manifest.shards)


@pytest.mark.usefixtures("odd", "ray_session")
def test_a_worker_asks_for_what_the_extractor_does_unless_configured(spoken: Workspace) -> None:
    large = Resources(memory_gb=8000)
    spec = ExtractorSpec("odd:large", "audio", 4, "none", 2, ("numpy",), f"{__name__}:load", resources=large)
    register("audio", "odd", lambda _: spec)
    config = ExtractConfig(workspace=spoken.url, archive="a", extractors=ExtractorNames(audio="odd:large"))
    with pytest.raises(WorkflowError, match="asks for 1 CPUs, 0 GPUs and 8000 GB, and no node of Ray's has"):
        extract(config, "audio")
    manifest = extract(config.model_copy(update={"resources": Resources(memory_gb=0.1)}), "audio")
    assert manifest is not None and manifest.counts["present"] == manifest.rows
