"""Scores of whole conversations, batch by batch, in the order the conversations came."""

from dataclasses import dataclass

import numpy as np
import torch

from sdt_model.batch import Conversations, Floats, budget_batches, pack
from sdt_model.model import SDT, Output


@dataclass(frozen=True)
class Predictions:
    """For N utterances, M modalities, K emotions.

    Attributes:
        probabilities: (N, K) of the teacher.
        students: (M, N, K) of each modality's head; meaningless where the modality is absent.
        weights: (M, N) the fusion gate's mean weight of each modality.
    """

    probabilities: Floats
    students: Floats
    weights: Floats


@torch.inference_mode()
def predict(model: SDT, conversations: Conversations, batch_utterances: int) -> Predictions:
    """Score every utterance; a conversation's scores do not depend on the others."""
    model.eval()
    device = next(model.parameters()).device
    count, rows, classes = len(model.modalities), len(conversations.label), model.classes
    found = Predictions(
        np.empty((rows, classes), np.float32),
        np.empty((count, rows, classes), np.float32),
        np.empty((count, rows), np.float32),
    )
    for chosen in budget_batches(conversations.lengths, batch_utterances):
        output: Output = model(pack(conversations, chosen).to(device))
        where = conversations.rows(chosen)
        found.probabilities[where] = output.teacher.softmax(dim=-1).cpu().numpy()
        found.students[:, where] = output.students.softmax(dim=-1).cpu().numpy()
        found.weights[:, where] = output.weights.cpu().numpy()
    return found
