"""What features look like: how many there are and why not more, how their values spread, what they cost.

A row group is held at a time, and a few numbers a dimension.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdt_model.conversations import Floats
from sdt_model.moments import Moments
from tasks.archive.facts import FeatureFacts
from tasks.archive.layout import timing_path
from tasks.archive.manifests import read_archive
from tasks.errors import WorkflowError
from tasks.features.catalog import FeatureSet, feature_sets
from tasks.features.vectors import vectors_of
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class Values:
    """The numbers of all vectors: their mean and deviation, and how many dimensions never change."""

    mean: float
    deviation: float
    dead: int


@dataclass(frozen=True)
class Cost:
    """Seconds that the rows took which were not copied, where that is noted; None where it is not."""

    per_thousand: float | None
    per_media_hour: float | None


@dataclass(frozen=True)
class Description:
    """What is to be said of one extractor's features.

    Attributes:
        features: which.
        rows: utterances.
        present: those with a vector.
        reasons: why vectors are missing, and how many; numbers in a reason are left out.
        partial: what vectors were made without, likewise.
        values: None where there is no vector.
        bytes: of the shards.
    """

    features: FeatureSet
    rows: int
    present: int
    reasons: dict[str, int]
    partial: dict[str, int]
    values: Values | None
    bytes: int
    cost: Cost

    @property
    def failed(self) -> int:
        """Those with a reason; the others without a vector have nothing of the modality."""
        return sum(self.reasons.values())


def describe_features(workspace: Workspace, archive: str) -> list[Description]:
    """All complete features of an archive.

    Raises:
        WorkflowError: no such archive, or it has no features.
    """
    read_archive(workspace, archive)
    descriptions = [
        _describe(workspace, features) for features in feature_sets(workspace, archive) if features.manifest
    ]
    if not descriptions:
        raise WorkflowError(f"archive {archive!r} has no features\n  make them with: sdt extract {archive}")
    return descriptions


def _describe(workspace: Workspace, features: FeatureSet) -> Description:
    manifest = features.manifest
    assert manifest is not None
    reasons: Counter[str] = Counter()
    partial: Counter[str] = Counter()
    numbers = _Numbers(FeatureFacts.of(manifest).dim)
    for shard in manifest.shards:
        with workspace.parquet(shard.path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=["vector", "reason"])
                vectors, valid = vectors_of(table)
                numbers.add(vectors[valid])
                for rows, counter in ((~valid, reasons), (valid, partial)):
                    for pair in pc.value_counts(table["reason"].filter(pa.array(rows)).drop_null()).to_pylist():
                        counter[_NUMBER.sub("N", pair["values"])] += pair["counts"]
    size = sum(shard.bytes for shard in manifest.shards)
    missing, lacking = (dict(sorted(c.items(), key=lambda pair: (-pair[1], pair[0]))) for c in (reasons, partial))
    cost = _cost(workspace, features, manifest)
    return Description(features, manifest.rows, numbers.moments.count, missing, lacking, numbers.values(), size, cost)


class _Numbers:
    """What is known of the vectors added so far, by dimension."""

    def __init__(self, dim: int) -> None:
        self.moments = Moments(dim)
        self._low, self._high = np.full(dim, np.inf), np.full(dim, -np.inf)

    def add(self, vectors: Floats) -> None:
        """Count vectors (N, C) in."""
        self.moments.add(vectors)
        self._low = np.minimum(self._low, vectors.min(axis=0, initial=np.inf))
        self._high = np.maximum(self._high, vectors.max(axis=0, initial=-np.inf))

    def values(self) -> Values | None:
        """The numbers of all; None: there is no vector."""
        if not self.moments.count:
            return None
        means = self.moments.mean
        deviation = float(np.sqrt(self.moments.variance.mean() + means.var()))
        return Values(float(means.mean()), deviation, int((self._low == self._high).sum()))


def _cost(workspace: Workspace, features: FeatureSet, manifest: Manifest) -> Cost:
    seconds = utterances = timed = media = 0.0
    for path in (timing_path(shard.path) for shard in manifest.shards):
        for noted in workspace.read_table(path).to_pylist() if path in features.files else ():
            seconds, utterances = seconds + noted["seconds"], utterances + noted["utterances"]
            if noted["media_s"]:
                timed, media = timed + noted["seconds"], media + noted["media_s"]
    return Cost(1000 * seconds / utterances if utterances else None, 3600 * timed / media if media else None)
