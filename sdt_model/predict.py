"""Scores of whole conversations, batch by batch, in the order the conversations came."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sdt_model.batch import Batch
from sdt_model.config import Modality
from sdt_model.conversations import Bools, Conversations, Floats, Ints
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT, Output
from sdt_model.sampling import scoring_batches


@dataclass(frozen=True)
class Predictions:
    """For N utterances, M modalities, K emotions.

    Attributes:
        emotion: (N,) the class that the teacher says, by its logits; meaningless where no modality is present.
        probabilities: (N, K) of the teacher; likewise.
        students: (M, N, K) of each modality's head; meaningless where the modality is absent.
        weights: (M, N) the fusion gate's mean weight of each modality; likewise.
        present: (M, N) the modalities that the scores were made from: those of the conversations, without vectors that
            the model makes no number of.
    """

    emotion: Ints
    probabilities: Floats
    students: Floats
    weights: Floats
    present: Bools

    @property
    def labelled(self) -> Bools:
        """(N,) whether the utterance has scores: any modality is present."""
        return np.asarray(self.present.any(axis=0))

    def finite(self) -> Bools:
        """(N,) whether all that is said of the utterance is a number."""
        students = np.isfinite(self.students).all(axis=-1) | ~self.present
        weights = np.isfinite(self.weights) | ~self.present
        said = np.isfinite(self.probabilities).all(axis=-1) & students.all(axis=0) & weights.all(axis=0)
        return np.asarray(said | ~self.labelled)


def predict(
    model: SDT | InferenceSDT,
    conversations: Conversations,
    batch_utterances: int,
    temperature: float = 1.0,
    alone: Mapping[Modality, float] | None = None,
) -> Predictions:
    """Score every utterance; a conversation's scores do not depend on the others.

    One longer than the model's window is scored in overlapping windows, in memory that does not grow with it. A vector
    that the model makes no number of, as a value in it is too large, is left out, so that it costs its utterance and
    not its conversation.

    Args:
        model: the network, on the device where it is to run.
        conversations: what is scored.
        batch_utterances: most utterances in one forward pass; a longer window goes alone.
        temperature: divides the teacher's logits: the bundle's, where probabilities are to be calibrated.
        alone: for each modality, what divides them in its place where an utterance has that modality alone.
    """
    temperatures = np.array([(alone or {}).get(name, temperature) for name in model.modalities], np.float32)

    def score(some: Conversations) -> Predictions:
        return _score(model, some, batch_utterances, temperature, torch.from_numpy(temperatures))

    predictions = score(conversations)
    broken = ~predictions.finite()
    if not broken.any():
        return predictions
    ends = np.unique(np.searchsorted(conversations.offset, np.flatnonzero(broken), side="right"))
    rows = conversations.rows((ends - 1).tolist())
    present = conversations.present.copy()
    for m in range(len(present)):  # each vector as a conversation of its own
        lone = _one_by_one(conversations, rows[present[m, rows]], m)
        present[m, rows[present[m, rows]]] = score(lone).finite()
    again = score(replace(conversations, present=present))
    return replace(again, present=again.present & again.finite())


def _one_by_one(conversations: Conversations, rows: Ints, modality: int) -> Conversations:
    """Some utterances, each as a conversation, with one modality by its place."""
    present = np.zeros((len(conversations.present), len(rows)), bool)
    present[modality] = True
    return Conversations(
        features={name: vectors[rows] for name, vectors in conversations.features.items()},
        present=present,
        speaker=conversations.speaker[rows],
        label=conversations.label[rows],
        offset=np.arange(len(rows) + 1),
    )


@torch.inference_mode()
def _score(
    model: SDT | InferenceSDT,
    conversations: Conversations,
    batch_utterances: int,
    temperature: float,
    alone: Tensor,
) -> Predictions:
    """The model's scores as they are; arguments as of `predict`, ``alone`` as (M,)."""
    model.eval()
    device = next(model.parameters()).device
    count, rows, classes = len(model.modalities), len(conversations.label), model.classes
    predictions = Predictions(
        np.empty(rows, np.int64),
        np.empty((rows, classes), np.float32),
        np.empty((count, rows, classes), np.float32),
        np.empty((count, rows), np.float32),
        conversations.present,
    )
    for host, counted in scoring_batches(conversations, model.config.window, batch_utterances):
        batch = host.to(device)
        output: Output = model(batch)
        where = batch.rows[counted]
        # Not of the probabilities: what is apart may be equal once it is divided and rounded.
        predictions.emotion[where] = output.teacher.argmax(dim=-1).cpu().numpy()[counted]
        teacher = output.teacher / _temperatures(batch, temperature, alone)
        predictions.probabilities[where] = teacher.softmax(dim=-1).cpu().numpy()[counted]
        predictions.students[:, where] = output.students.softmax(dim=-1).cpu().numpy()[:, counted]
        predictions.weights[:, where] = output.weights.cpu().numpy()[:, counted]
    return predictions


def _temperatures(batch: Batch, temperature: float, alone: Tensor) -> Tensor | float:
    """What divides the teacher's logits, (N, 1); one number where every utterance has everything."""
    if batch.complete or len(alone) == 1:
        return temperature
    own = (batch.present * alone.to(batch.present.device).unsqueeze(-1)).sum(dim=0)
    return torch.where(batch.present.sum(dim=0) == 1, own, temperature).unsqueeze(-1)
