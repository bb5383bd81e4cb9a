"""What a worker of labelling does: load the model once, then label one shard after another."""

from dataclasses import dataclass

import pyarrow as pa
import torch

from sdt_model.inference import InferenceSDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.predict import predict
from tasks.archive.schema import conform, labels_schema
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.label.plan import LabelPlan, LabelTask
from tasks.label.reader import read_days
from tasks.label.rows import label_counts, label_rows
from tasks.registry.models import read_network

_ACTIVATIONS = 128 * 2**20  # bytes; a block of more is a shard's features, and no two shards' are of one size


def prepare(plan: LabelPlan) -> ShardFunction[LabelTask]:
    """Load the model once and return the function that labels a day of a shard with it."""
    keep_freed_memory(up_to=_ACTIVATIONS)
    network = read_network(plan.workspace, plan.bundle)
    if torch.cuda.is_available():
        network.cuda()
    return Labeller(plan, InferenceSDT(network))


@dataclass(frozen=True)
class _ShardLabels:
    """Label rows of some days of a shard, without their run, and where each day's are."""

    path: str
    days: frozenset[str]
    rows: pa.Table
    places: dict[str, pa.Array]
    counts: dict[str, dict[str, int]]


class Labeller:
    """Labels days of utterance shards, all that are wanted of one shard at a time: batches do not end with a day."""

    def __init__(self, plan: LabelPlan, network: InferenceSDT) -> None:
        self._plan, self._network = plan, network
        self._latest: _ShardLabels | None = None

    def __call__(self, shard: Shard[LabelTask]) -> ShardOutput:
        """The labels of one day of a shard."""
        task = shard.payload
        latest = self._latest
        if latest is None or (latest.path, latest.days) != (task.utterances.path, task.days):
            self._latest = None  # not two shards at a time
            self._latest = latest = self._label(task)
        rows = latest.rows.take(latest.places[task.day]) if task.day in latest.places else latest.rows[:0]
        rows = rows.append_column("run_id", pa.repeat(task.run_id, rows.num_rows))
        return ShardOutput(
            conform(rows, labels_schema(self._plan.bundle.emotions), shard.path), latest.counts.get(task.day, {})
        )

    def _label(self, task: LabelTask) -> _ShardLabels:
        plan = self._plan
        features, days = read_days(plan.workspace, task.utterances, plan.folders, plan.bundle.emotions, task.days)
        predictions = predict(
            self._network,
            features.conversations,
            plan.batch_utterances,
            plan.bundle.calibration_temperature,
            plan.bundle.student_temperatures,
        )
        rows = label_rows(features, predictions, plan.bundle)
        by_day = days.to_frame().with_row_index("place").partition_by("day", as_dict=True)
        places = {day: part["place"].to_arrow() for (day,), part in by_day.items()}
        return _ShardLabels(task.utterances.path, task.days, rows, places, label_counts(rows, days))
