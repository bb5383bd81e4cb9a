"""Fine-tuning a text encoder in one process: one of several data-parallel workers, or the only one.

Every worker takes its part of a global batch, in as many passes as its tokens need; the gradients are then added up
over the workers. The step is that of the global batch, however it was shared out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn

from sdt_model.config import Frozen, Precision
from sdt_model.metrics.counter import ConfusionCount
from sdt_model.ops.precision import prepare_precision, training_precision
from sdt_model.text_encoder.encoder import TextEncoder
from sdt_model.text_encoder.inputs import batches_by_tokens, pack_windows
from sdt_model.text_encoder.windows import Window
from sdt_model.training.state import OPTIMIZER, optimizer_tensors, pack_state, restore_optimizer, unpack_state
from sdt_model.training.trainer import NonFiniteLoss, check_weights


@dataclass(frozen=True)
class Texts:
    """One split.

    Attributes:
        windows: what is read.
        labels: (N,) of each utterance by its number, -1 where there is none.
        taught: (N, K) probabilities by a teacher, to be learned beside the labels; None: there is no teacher.
    """

    windows: list[Window]
    labels: np.ndarray
    taught: np.ndarray | None = None


class FinetuneOptim(Frozen):
    """Optimisation, as `tasks.config.training.FinetuneConfig` explains it."""

    epochs: int
    learning_rate: float
    warmup: float
    weight_decay: float
    dropout: float
    batch_utterances: int
    batch_tokens: int
    balance: float
    distil: float = 0.0
    precision: Precision
    seed: int


class Finetuner:
    """Runs epochs over windows; every source of chance is a function of seed, epoch and rank."""

    def __init__(
        self, encoder: TextEncoder, splits: dict[str, Texts], optim: FinetuneOptim, padding: int, device: torch.device
    ) -> None:
        self.encoder, self.splits, self.optim = encoder.to(device), splits, optim
        self._padding, self._device = padding, device
        prepare_precision(device)
        encoder.prepare_training()
        spread = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if spread else 0
        self.workers = distributed.get_world_size() if spread else 1
        head = list(encoder.head.parameters())
        # The head starts from nothing, the body from what it knows: it may take larger steps.
        groups = [
            {"params": [p for p in encoder.body.parameters() if p.requires_grad], "lr": optim.learning_rate},
            {"params": head, "lr": 10 * optim.learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=optim.weight_decay, fused=True)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        labels = splits["train"].labels
        counts = np.bincount(labels[labels >= 0], minlength=encoder.head.out_features)
        share = np.maximum(counts, 1) / max(1, counts.sum())
        self._weights = torch.tensor(share**-optim.balance, dtype=torch.float32, device=device)

    def epoch(self, number: int) -> dict[str, float]:
        """Train over the training split once; return the mean loss of the steps."""
        torch.manual_seed(hash((self.optim.seed, number, self.rank)) % 2**63)
        self.encoder.train()
        batches = list(self._batches(number))
        losses = [
            self._step(batch, (number + (i + 0.5) / len(batches)) / self.optim.epochs, f"epoch {number}, step {i}")
            for i, batch in enumerate(batches)
        ]
        check_weights(self.encoder, f"epoch {number}")
        return {"loss": sum(losses) / len(losses)}

    @torch.inference_mode()
    def evaluate(self, split: str) -> dict[str, float]:
        """Scores on a split, each worker doing its part of it."""
        self.encoder.eval()
        texts = self.splits[split]
        confusion = ConfusionCount(self.encoder.head.out_features, self._device)
        batches = list(batches_by_tokens(texts.windows, self.optim.batch_tokens))
        for chosen in batches[self.rank :: self.workers]:
            batch = pack_windows(chosen, self._padding).to(self._device)
            _, scores = self.encoder(batch)
            labels = torch.where(scores.isfinite().all(dim=-1), self._labels(texts, batch.rows), -1)
            confusion.update(scores.argmax(dim=-1), labels)
        return confusion.scores(split)

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser state by name: all that the next epoch depends on."""
        parts = {"encoder": self.encoder.state_dict(), OPTIMIZER: optimizer_tensors(self.optimizer)}
        # Copies: an encoder may use one table twice, and safetensors stores no memory twice.
        return {name: value.clone() for name, value in pack_state(parts).items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.encoder.load_state_dict(unpack_state(state, "encoder"))
        restore_optimizer(self.optimizer, unpack_state(state, OPTIMIZER))

    def _batches(self, number: int) -> Iterator[list[Window]]:
        """Global batches of about `batch_utterances`, in an order of the epoch's own."""
        train = self.splits["train"].windows
        batch: list[Window] = []
        for index in np.random.default_rng([self.optim.seed, number]).permutation(len(train)):
            batch.append(train[index])
            if sum(len(window.rows) for window in batch) >= self.optim.batch_utterances:
                yield batch
                batch = []
        if batch:
            yield batch

    def _step(self, batch: list[Window], progress: float, where: str) -> float:
        """One optimiser step on a global batch, ``progress`` (0 to 1) into the run; the batch's loss.

        Raises:
            NonFiniteLoss: the loss is no number any more.
        """
        train = self.splits["train"]
        labels = self._labels(train, [row for window in batch for row in window.rows])
        whole = self._weights[labels[labels >= 0]].sum().clamp(min=1e-9)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * schedule(progress, self.optim.warmup)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self._device)
        for chosen in batches_by_tokens(batch[self.rank :: self.workers], self.optim.batch_tokens):
            packed = pack_windows(chosen, self._padding).to(self._device)
            with training_precision(self._device, self.optim.precision):
                _, scores = self.encoder(packed)
            loss = self._loss(scores.float(), train, packed.rows)
            torch.autograd.backward(loss / whole)
            total += loss.detach() / whole
        for parameter in self.encoder.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce().to_dense()  # in an order of its own, so that sums are too
        self._add_up(total)
        if not math.isfinite(total.item()):
            raise NonFiniteLoss(f"the loss is {total.item()} at {where}")
        nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimizer.step()
        return total.item()

    def _loss(self, scores: Tensor, texts: Texts, rows: list[int]) -> Tensor:
        """Cross-entropy with the labels, or with a mixture of them and what a teacher says (Hinton et al. 2015, 2).

        ``scores``: (U, K) of the utterances ``rows``. A sum over the annotated ones, each with its label's weight.
        """
        labels = self._labels(texts, rows)
        hard = nn.functional.cross_entropy(scores, labels, self._weights, ignore_index=-1, reduction="sum")
        if texts.taught is None:
            return hard
        weights = torch.where(labels < 0, 0.0, self._weights[labels])
        taught = torch.from_numpy(texts.taught[rows]).to(self._device)
        soft = (nn.functional.cross_entropy(scores, taught, reduction="none") * weights).sum()
        return (1 - self.optim.distil) * hard + self.optim.distil * soft

    def _add_up(self, total: Tensor) -> None:
        """Sum the loss and the gradients over the workers; one without a share in the batch adds nothing."""
        if self.workers == 1:
            return
        distributed.all_reduce(total)
        for parameter in (parameter for group in self.optimizer.param_groups for parameter in group["params"]):
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            distributed.all_reduce(gradient)
            parameter.grad = gradient

    def _labels(self, texts: Texts, rows: list[int]) -> Tensor:
        return torch.from_numpy(texts.labels[rows]).to(self._device)


def schedule(progress: float, warmup: float) -> float:
    """Share of the full step size: it rises from 0 over the first ``warmup`` of the run, then falls to 0."""
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)
