"""What a worker of labelling does: load the model once, then label one shard after another."""

from functools import partial

import torch

from sdt_model.inference import InferenceSDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.predict import predict
from tasks.archive.schema import conform, labels_schema
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.label.plan import LabelPlan, LabelTask
from tasks.label.reader import DayReader
from tasks.label.rows import label_counts, label_rows
from tasks.registry.models import read_network

_ACTIVATIONS = 128 * 2**20  # bytes; a block of more is a shard's features, and no two shards' are of one size


def prepare(plan: LabelPlan) -> ShardFunction[LabelTask]:
    """Load the model once and return the function that labels a shard with it."""
    keep_freed_memory(up_to=_ACTIVATIONS)
    network = read_network(plan.workspace, plan.bundle)
    if torch.cuda.is_available():
        network.cuda()
    return partial(
        label_shard, plan, InferenceSDT(network), DayReader(plan.workspace, plan.folders, plan.bundle.emotions)
    )


def label_shard(plan: LabelPlan, network: InferenceSDT, reader: DayReader, shard: Shard[LabelTask]) -> ShardOutput:
    """Label the conversations of one day in one utterance shard."""
    task = shard.payload
    features = reader.read(task.utterances, task.day, task.days)
    predictions = predict(
        network,
        features.conversations,
        plan.batch_utterances,
        plan.bundle.calibration_temperature,
        plan.bundle.student_temperatures,
    )
    rows = label_rows(features, predictions, plan.bundle, task.run_id)
    return ShardOutput(conform(rows, labels_schema(plan.bundle.emotions), shard.path), label_counts(rows))
