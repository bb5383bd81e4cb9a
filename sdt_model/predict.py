"""Scores of whole conversations, batch by batch, in the order the conversations came."""

from dataclasses import dataclass

import numpy as np
import torch

from sdt_model.conversations import Conversations, Floats
from sdt_model.inference import InferenceSDT
from sdt_model.model import SDT, Output
from sdt_model.sampling import scoring_batches


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
def predict(
    model: SDT | InferenceSDT, conversations: Conversations, batch_utterances: int, temperature: float = 1.0
) -> Predictions:
    """Score every utterance; a conversation's scores do not depend on the others.

    One longer than the model's window is scored in overlapping windows, in memory that does not grow with it.

    Args:
        model: the network, on the device where it is to run.
        conversations: what is scored.
        batch_utterances: most utterances in one forward pass; a longer window goes alone.
        temperature: divides the teacher's logits: the bundle's, where probabilities are to be calibrated.
    """
    model.eval()
    device = next(model.parameters()).device
    count, rows, classes = len(model.modalities), len(conversations.label), model.classes
    predictions = Predictions(
        np.empty((rows, classes), np.float32),
        np.empty((count, rows, classes), np.float32),
        np.empty((count, rows), np.float32),
    )
    for batch, counted in scoring_batches(conversations, model.config.window, batch_utterances):
        output: Output = model(batch.to(device))
        where = batch.rows[counted]
        predictions.probabilities[where] = (output.teacher / temperature).softmax(dim=-1).cpu().numpy()[counted]
        predictions.students[:, where] = output.students.softmax(dim=-1).cpu().numpy()[:, counted]
        predictions.weights[:, where] = output.weights.cpu().numpy()[:, counted]
    return predictions
