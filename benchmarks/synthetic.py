"""A synthetic archive of any size, for `benchmarks.scale`: source files, an extractor that costs nothing, a model.

Conversations have 4 to 20 turns, 12 on average, and random ids. They begin one after another over some days, so that
every day has its share. Texts are words in random order; a vector is made of a hash of its text.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from sdt_model.bundle import Bundle, FeatureSource
from sdt_model.config import Modality, ModelConfig, TrainingConfig
from sdt_model.weights import new_network, to_files
from tasks.extractors.base import Extracted, Extractor, ExtractorSpec
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import register
from tasks.registry.models import promote, write_bundle
from tasks.storage.workspace import Workspace

ARCHIVE = "made-up"
DAYS = 60
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
TURNS = (4, 20)
FILE_ROWS = 250_000  # of a source file, about
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
WORDS = ("well", "so", "then", "what", "you", "said", "about", "it", "was", "not", "fine", "I", "would", "know", "why")

_ODD = np.uint64(0x9E3779B97F4A7C15)
_PHRASES, _PHRASE_WORDS = 20_000, 4  # a text is two phrases


def write_sources(folder: Path, utterances: int, days: int = DAYS) -> int:
    """CSV files of whole conversations, about so many utterances; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    conversations, a_file = (round(rows / (sum(TURNS) / 2)) for rows in (utterances, FILE_ROWS))
    apart_us = days * 86_400_000_000 // conversations
    return sum(
        _write_file(folder / f"part-{number:05d}.csv", begin, min(begin + a_file, conversations), apart_us)
        for number, begin in enumerate(range(0, conversations, a_file))
    )


def _write_file(path: Path, begin: int, end: int, apart_us: int) -> int:
    chance = np.random.default_rng(begin)
    lengths = chance.integers(TURNS[0], TURNS[1] + 1, end - begin)
    number = np.repeat(np.arange(begin, end), lengths)
    turn = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first_us = int(FIRST_DAY.timestamp() * 1e6)
    phrases = [" ".join(chance.choice(WORDS, _PHRASE_WORDS)) for _ in range(_PHRASES)]
    choices = pl.Series(phrases)
    halves = [choices.gather(chance.integers(0, _PHRASES, len(number))) for _ in range(2)]
    frame = pl.DataFrame(
        {
            "conversation_id": _ids(number),
            "turn": turn,
            "speaker": pl.Series(["Ada", "Ben", "Cleo"]).gather(chance.integers(0, 3, len(number))),
            "text": pl.select(pl.concat_str(*map(pl.lit, halves), separator=" ")).to_series(),
            "occurred_at": pl.Series(first_us + number * apart_us + turn * 7_000_000).cast(pl.Datetime("us", "UTC")),
        }
    )
    frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return frame.height


def _ids(number: npt.NDArray[np.int64]) -> pl.Series:
    """An id for each conversation that says nothing of when it was."""
    mixed = number.astype(np.uint64) * _ODD  # odd: no two are the same
    high, low = ((mixed >> np.uint64(shift) & np.uint64(0xFFFFFFFF)).astype(np.uint32) for shift in (0, 32))
    return pl.select(pl.format("{}-{}", pl.lit(pl.Series(high)), pl.lit(pl.Series(low)))).to_series()


def synthetic_spec(dim: str) -> ExtractorSpec:
    """``made-up:DIM``: vectors that cost next to nothing and say nothing."""
    return ExtractorSpec(f"made-up:{dim}", "text", int(dim), "none", 1, (), "benchmarks.synthetic:load", dim)


def load(dim: str) -> Extractor:
    """What `synthetic_spec` names."""
    return _Hashed(int(dim))


class _Hashed:
    """A vector of a hash of the text, entries between -1 and 1."""

    def __init__(self, dim: int) -> None:
        self._factors = np.arange(1, 2 * dim, 2, dtype=np.uint64) * _ODD

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:  # noqa: ARG002
        texts = pl.Series(utterances["text"])
        mixed = texts.hash().to_numpy()[:, None] * self._factors >> np.uint64(40)
        vectors = (mixed / np.float64(2**23) - 1).astype(np.float32)
        valid = texts.is_not_null().to_numpy()
        return Extracted(vectors, valid, [None] * len(texts))


def register_synthetic() -> None:
    """Let `sdt extract` find the extractor, in this process."""
    spec: Callable[[str], ExtractorSpec] = synthetic_spec
    register("text", "made-up", spec)


def write_model(workspace: Workspace, dims: Mapping[Modality, int], model: ModelConfig) -> Bundle:
    """A model with random weights, in production, which takes ``made-up:DIM`` of each modality."""
    sources = {
        modality: FeatureSource(extractor=spec.name, fingerprint=spec.fingerprint, dim=spec.dim)
        for modality, spec in ((modality, synthetic_spec(str(dim))) for modality, dim in dims.items())
    }
    bundle = Bundle(
        model_id=f"made-up-{model.hidden}",
        emotions=EMOTIONS,
        features=sources,
        training=TrainingConfig(model=model),
        archive=ARCHIVE,
        data_fingerprint="0" * 16,
        metrics={},
    )
    write_bundle(workspace, bundle.model_id, to_files(bundle, new_network(bundle)))
    promote(workspace, bundle.model_id)
    return bundle
