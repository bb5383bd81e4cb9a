"""Two thousand utterances in recordings of every format, one in twenty of them broken in each way that there is.

Each is answered by itself: it has its row, its status and its reason, and the others have the vectors that they have in
an archive in which nothing is broken.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from sdt_model.bundle import Bundle, FeatureSource
from sdt_model.config import MODALITIES, Modality
from sdt_model.weights import new_network, to_files
from tasks.config.stages import ExtractConfig, ExtractorNames, IngestConfig, LabelConfig
from tasks.extract.stage import extract
from tasks.extractors.registry import extractor_spec
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.query import scan_labels
from tasks.registry.models import promote, write_bundle
from tasks.storage.workspace import Workspace
from tests.fixtures import conversations as made_conversations
from tests.fixtures.archives import EMOTIONS
from tests.fixtures.encoders.pretrained import FACE, tiny_detector, tiny_vit
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.media import FRAME_RATE, sound, write_pictures, write_sound
from tests.fixtures.vectors import feature_frame

RECORDINGS, TURNS, SECONDS = 200, 10, 2
FORMATS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4", ".mkv", ".webm")
FILM_FORMATS = (".mp4", ".mkv", ".webm")
FILMED = 9  # every so many recordings one has a film, too
SHARDS = 8
NONE_GIVEN = "none given"

Row = dict[str, Any]
Key = tuple[str, int]


@dataclass(frozen=True)
class Way:
    """What is broken of an utterance, and how the reason begins of each modality that it costs, or shortens."""

    broken: Callable[[Row], Row]
    reasons: dict[Modality, str]
    partial: bool = False


def moved(folder: str, *columns: str) -> Callable[[Row], Row]:
    """Files of the same name in another folder."""
    return lambda row: {name: row[name] and f"{folder}/{Path(row[name]).name}" for name in columns}


def at(start: float | None, end: float | None) -> Callable[[Row], Row]:
    return lambda _: {"start_s": start, "end_s": end}


def media(reason: str) -> dict[Modality, str]:
    return {"audio": reason, "visual": reason}


WAYS = {
    "missing file": Way(moved("gone", "audio", "video"), media("no such file")),
    "corrupt stream": Way(moved("corrupt", "audio", "video"), media("cannot be decoded: ")),
    "no track": Way(
        lambda row: {"audio": "whole/000-film.mp4", "video": row["video"] and "whole/007.webm"},
        {"audio": "no audio track", "visual": "no video track"},
    ),
    "empty span": Way(at(1.0, 1.0), media("span 1-1 s is negative, empty or reversed")),
    "reversed span": Way(at(2.0, 1.0), media("span 2-1 s is negative, empty or reversed")),
    "span past the end": Way(at(50.0, 51.0), media("span starts at 50 s, past the end")),
    "span beyond the limit": Way(at(0.5, 700.5), media("span of 700 s is longer than 600 s")),
    "recording beyond the limit": Way(
        lambda _: {"audio": "long.flac", "video": None, "start_s": None, "end_s": None},
        {"audio": "longer than 600 s from 0 s on", "visual": NONE_GIVEN},
    ),
    "span that ends past the end": Way(
        at(1.0, 9.0),
        {
            "audio": r"(0\.9|1\.0)\d s of sound, and not the 8\.00 s asked for",
            "visual": "pictures of 1.00 s, and not of the 8.00 s asked for",
        },
        partial=True,
    ),
    "empty text": Way(lambda row: {"text": " " * row["turn"]}, {"text": "text is empty"}),
    "no face": Way(moved("nobody", "video"), {"visual": "no face found"}),
}


@dataclass(frozen=True)
class Made:
    """A workspace with the archives `clean` and `broken`, and what is broken of which utterance."""

    workspace: Workspace
    names: ExtractorNames
    clean: dict[Key, Row]
    ways: dict[Key, Way]

    def reasons(self, key: Key) -> dict[Modality, str]:
        """How the reason begins of each modality that an utterance of the broken archive lacks."""
        filmed = self.clean[key]["video"] is not None
        found = self.ways[key].reasons if key in self.ways else {}
        return found if filmed else found | {"visual": NONE_GIVEN}

    def features(self, archive: str, modality: Modality) -> pl.DataFrame:
        """Those of the whole archive, made unless they are there."""
        workers = 2 if modality == "audio" else 1  # the others cost little more than their start
        config = ExtractConfig(
            workspace=self.workspace.url, ray=LOCAL, archive=archive, extractors=self.names, workers=workers
        )
        manifest = extract(config, modality)
        assert manifest is not None and manifest.aside == {}
        shards = [feature_frame(self.workspace.read_table(shard.path)) for shard in manifest.shards]
        return pl.concat(shards).sort("conversation_id", "turn")


def write_media(folder: Path) -> None:
    for name in ("whole", "corrupt", "nobody"):
        (folder / name).mkdir(parents=True)
    write_sound(folder / "long.flac", np.zeros((601 * 1000, 1), np.float32), rate=1000)
    for number in range(RECORDINGS):
        samples = sound(SECONDS, channels=1 + number % 2, seed=number)
        corrupt(write_sound(folder / "whole" / sound_name(number), samples))
        if number % FILMED == 0:
            corrupt(write_pictures(folder / "whole" / film_name(number), film(number, shown=True)))
            write_pictures(folder / "nobody" / film_name(number), film(number, shown=False))


def sound_name(number: int) -> str:
    return f"{number:03d}{FORMATS[number % len(FORMATS)]}"


def film_name(number: int) -> str:
    return f"{number:03d}-film{FILM_FORMATS[number // FILMED % len(FILM_FORMATS)]}"


def film(number: int, shown: bool) -> Iterator[NDArray[np.uint8]]:
    """A face whose mouth moves, or the empty room."""
    for k in range(SECONDS * FRAME_RATE):
        picture = np.full((2 * FACE, 2 * FACE, 3), 40 + number % 50, np.uint8)
        if shown:
            picture[FACE // 2 : 3 * FACE // 2, FACE // 2 : 3 * FACE // 2] = (250, 10, 10)
            mouth = FACE // 2 + (7 * number + k) % (FACE - 8)
            picture[mouth : mouth + 8, FACE - 8 : FACE + 8] = 0
        yield picture


def corrupt(path: Path) -> None:
    """Write a copy whose beginning is lost."""
    content = path.read_bytes()
    (path.parents[1] / "corrupt" / path.name).write_bytes(bytes(2048) + content[2048:])


def clean_row(number: int, turn: int) -> Row:
    begin = turn * SECONDS / TURNS
    return {
        "conversation_id": f"c{number:03d}", "turn": turn, "text": f"I have said so {number * turn % 97} times",
        "audio": f"whole/{sound_name(number)}", "video": None if number % FILMED else f"whole/{film_name(number)}",
        "start_s": begin, "end_s": begin + SECONDS / TURNS,
    }  # fmt: skip


def drawn_ways(clean: dict[Key, Row]) -> dict[Key, Way]:
    """One way at most for an utterance; each breaks a twentieth of those with a film and of those without."""
    chance, found = np.random.default_rng(4), {}
    for filmed in (True, False):
        keys = [key for key, row in clean.items() if (row["video"] is not None) == filmed]
        ways = [way for name, way in WAYS.items() if filmed or name != "no face"]
        order = iter(chance.permutation(len(keys)))
        found |= {keys[next(order)]: way for way in ways for _ in range(round(len(keys) / 20))}
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("broken")
    write_media(folder / "media")
    clean = {(f"c{number:03d}", turn): clean_row(number, turn) for number in range(RECORDINGS) for turn in range(TURNS)}
    ways = drawn_ways(clean)
    broken = {key: row | ways[key].broken(row) if key in ways else row for key, row in clean.items()}
    visual = f"hf:{tiny_vit(folder / 'vit')}?face={tiny_detector(folder / 'face.onnx')}"
    workspace = Workspace(str(folder / "workspace"))
    for name, rows in (("clean", clean), ("broken", broken)):
        table = folder / "media" / f"{name}.jsonl"
        table.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
        ingest(
            IngestConfig(workspace=workspace.url, ray=LOCAL, archive=name, kind="table", path=str(table), shards=SHARDS)
        )
    return Made(workspace, ExtractorNames(audio="logmel", visual=visual), clean, ways)


@pytest.mark.long
@pytest.mark.parametrize("modality", MODALITIES)
def test_what_is_broken_has_its_reason_and_the_rest_the_vectors_of_a_clean_archive(
    done: Made, modality: Modality
) -> None:
    clean, broken = (done.features(name, modality) for name in ("clean", "broken"))
    keys = list(done.clean)
    for table in (clean, broken):
        assert table.select("conversation_id", "turn").rows() == keys
    assert clean["reason"].null_count() == len(keys)
    for key, reason, vector in broken.select(pl.struct("conversation_id", "turn"), "reason", "vector").iter_rows():
        way, expected = done.ways.get(tuple(key.values())), done.reasons(tuple(key.values())).get(modality)
        partial = way is not None and way.partial and expected != NONE_GIVEN
        assert (vector is None) == (expected is not None and not partial), (key, reason)
        if expected is None or expected == NONE_GIVEN:
            assert reason is None, key
        else:
            assert reason is not None and re.match(expected, reason), key
    fine = broken["vector"].is_not_null() & broken["reason"].is_null()
    one, other = (np.array(table["vector"].filter(fine).to_list(), np.float32) for table in (clean, broken))
    # Where in an MP3 file decoding begins shows in the last bit of its samples, and what is broken decides that.
    scanned = broken.filter(fine)["conversation_id"].str.slice(1).cast(pl.Int32) % len(FORMATS) == FORMATS.index(".mp3")
    inexact = scanned.to_numpy() if modality == "audio" else np.zeros(len(one), bool)
    assert np.abs(one - other)[inexact].max(initial=0) < 1e-3
    assert np.abs(one - other)[~inexact].max() <= (0 if modality == "audio" else 1e-5)


@pytest.mark.long
def test_every_utterance_has_its_label_with_a_status_and_the_reasons(done: Made) -> None:
    for modality in MODALITIES:
        done.features("broken", modality)
    model(done)
    report = label(LabelConfig(workspace=done.workspace.url, ray=LOCAL, archive="broken"))
    rows = scan_labels(done.workspace, "broken").sort("conversation_id", "turn").collect()
    assert rows.select("conversation_id", "turn").rows() == list(done.clean) and report.rows == len(done.clean)
    for row in rows.iter_rows(named=True):
        expected = done.reasons((row["conversation_id"], row["turn"]))
        assert row["status"] == ("degraded" if expected else "ok") and row["emotion"] in EMOTIONS
        said = row["reason"].split("; ") if expected else []
        wanted = [f"{modality}: {expected[modality]}" for modality in MODALITIES if modality in expected]
        assert len(said) == len(wanted) and all(map(re.match, wanted, said)), row
    assert report.ok == sum(not done.reasons(key) for key in done.clean) > 90


def model(done: Made) -> None:
    """One with random weights in production."""
    specs = [extractor_spec(modality, done.names.of(modality)) for modality in MODALITIES]
    sources = {s.modality: FeatureSource(extractor=s.name, fingerprint=s.fingerprint, dim=s.dim) for s in specs}
    bundle = Bundle(
        model_id="sdt-made", emotions=EMOTIONS, features=sources, training=made_conversations.training(),
        archive="clean", data_fingerprint="0" * 16, metrics={},
    )  # fmt: skip
    write_bundle(done.workspace, "sdt-made", to_files(bundle, new_network(bundle)))
    promote(done.workspace, "sdt-made")
