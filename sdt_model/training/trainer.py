"""Training in one process: one of several data-parallel workers, or the only one.

The network may be wrapped for data parallelism, which averages gradients over the workers. Each worker's loss is its
share of the global batch's loss, times the number of workers: the averaged gradient is that of the global batch.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.optim.swa_utils import AveragedModel

from sdt_model.batch import pack
from sdt_model.config import TrainingConfig
from sdt_model.conversations import Conversations
from sdt_model.metrics.counter import ConfusionCount
from sdt_model.model import SDT, Output
from sdt_model.ops.precision import training_precision, uses_bf16_matmul
from sdt_model.sampling import cut, scoring_batches, training_batches
from sdt_model.training.modality_dropout import drop_modalities
from sdt_model.training.objective import Objective
from sdt_model.training.optimizers import build_optimizer, step_share
from sdt_model.training.state import OPTIMIZER, optimizer_tensors, pack_state, restore_optimizer, unpack_state

EVALUATION_UTTERANCES = 2048


class NonFiniteLoss(RuntimeError):
    """The loss is no longer a finite number; further training would only spread it."""


@dataclass(frozen=True)
class Splits:
    """The conversations that a run trains on, selects epochs by, and reports on; ``test`` may be empty."""

    train: Conversations
    dev: Conversations
    test: Conversations


class Trainer:
    """Runs epochs of `TrainingConfig` over `Splits`; every source of chance is a function of seed, epoch and rank."""

    def __init__(
        self, network: nn.Module, plain: SDT, objective: Objective, data: Splits, config: TrainingConfig
    ) -> None:
        """``network`` is ``plain`` itself, or ``plain`` wrapped for data parallelism."""
        self.network, self.plain = network, plain
        self.objective, self.config = objective, config
        self.data = replace(data, train=cut(data.train, config.model.window))
        self.device = next(plain.parameters()).device
        spread = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if spread else 0
        self.workers = distributed.get_world_size() if spread else 1
        optim = config.optim
        if uses_bf16_matmul(self.device, optim.precision, config.model.hidden):
            plain.use_bf16_matmul()
        self.optimizer = build_optimizer(plain.parameters(), optim)
        self._chance = np.random.default_rng(optim.seed)
        self._thinned = self.data.train
        if optim.modality_dropout:
            self._thinned = replace(self._thinned, present=self._thinned.present.copy())
        self._average = AveragedModel(plain, avg_fn=partial(_running_mean, optim.average)) if optim.average else None

    @property
    def scored(self) -> SDT:
        """The network that is scored and saved: the one that learns, or the running mean of it."""
        return self.plain if self._average is None else cast(SDT, self._average.module)

    def epoch(self, number: int) -> dict[str, float]:
        """Train over the training split once; return the mean of each loss term over the steps.

        Raises:
            NonFiniteLoss: a loss is no number, or a weight is none after the last step.
        """
        optim = self.config.optim
        torch.manual_seed(hash((optim.seed, number, self.rank)) % 2**63)
        self._chance = np.random.default_rng([optim.seed, number])
        batches = training_batches(self.data.train.lengths, optim, self.workers, number)
        self.network.train()
        history = torch.stack(
            [
                self.step(batch, f"epoch {number}, step {i}", (number + (i + 0.5) / len(batches)) / optim.epochs)
                for i, batch in enumerate(batches)
            ]
        )
        check_weights(self.plain, f"epoch {number}")
        mean = self._summed(history).mean(dim=0).tolist()
        return dict(zip(("loss", *self._term_names), mean, strict=True))

    def step(self, conversations: list[int], where: str, progress: float = 0.5) -> Tensor:
        """One optimiser step on a global batch; return this worker's share of the loss and of each term.

        Args:
            conversations: of the batch, over all workers.
            where: in the run, for an error.
            progress: the same as a share of the run (0 to 1), which the step size may depend on.

        Raises:
            NonFiniteLoss: naming ``where``, the conversations and the largest gradient.
        """
        train = self._thin(conversations)
        rows = train.rows(conversations)
        totals = self.objective.totals(train.label[rows], train.present[:, rows])
        batch = pack(train, conversations[self.rank :: self.workers]).to(self.device)
        with training_precision(self.device, self.config.optim.precision):
            output = self.network(batch)
        terms = self.objective.terms(output, batch, totals)
        loss = self.objective.total(terms)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss * self.workers)
        if not math.isfinite(loss.item()):
            raise NonFiniteLoss(
                f"the loss is {loss.item()} at {where}, conversations {conversations}; {self._largest()}"
            )
        optim = self.config.optim
        for group in self.optimizer.param_groups:
            group["lr"] = optim.learning_rate * step_share(progress, optim)
        if optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.plain.parameters(), optim.clip_norm)
        self.optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self.plain)
        self._term_names = tuple(terms)
        return torch.stack([loss, *terms.values()]).detach()

    @torch.inference_mode()
    def evaluate(self, split: Conversations, prefix: str) -> dict[str, float]:
        """Scores of the teacher of the `scored` network on a split, each worker doing its part of it."""
        scored = self.scored.eval()
        confusion = ConfusionCount(self.plain.classes, self.device)
        window = self.config.model.window
        for host, inside in scoring_batches(split, window, EVALUATION_UTTERANCES, self.rank, self.workers):
            batch = host.to(self.device)
            output: Output = scored(batch)
            counts = batch.present.any(dim=0) & torch.from_numpy(inside).to(self.device)
            counts &= output.teacher.isfinite().all(dim=-1)  # what is no number says no emotion, least of all the first
            confusion.update(output.teacher.argmax(dim=-1), torch.where(counts, batch.label, -1))
        return confusion.scores(prefix)

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser state by name: all that the next epoch depends on."""
        parts = {"model": self.plain.state_dict(), OPTIMIZER: optimizer_tensors(self.optimizer)}
        if self._average is not None:
            parts["average"] = self._average.state_dict()
        return pack_state(parts)

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        self.plain.load_state_dict(unpack_state(state, "model"))
        if self._average is not None:
            self._average.load_state_dict(unpack_state(state, "average"))
        restore_optimizer(self.optimizer, unpack_state(state, OPTIMIZER))

    def _thin(self, conversations: list[int]) -> Conversations:
        """The training split in which these conversations have lost modalities by chance, the same on every worker."""
        chance = self.config.optim.modality_dropout
        if chance:
            for number in conversations:
                rows = slice(self.data.train.offset[number], self.data.train.offset[number + 1])
                present = self.data.train.present[:, rows]
                self._thinned.present[:, rows] = drop_modalities(present, chance, self._chance)
        return self._thinned

    def _summed(self, values: Tensor) -> Tensor:
        if self.workers > 1:
            distributed.all_reduce(values)
        return values

    def _largest(self) -> str:
        norms = {name: float(p.grad.norm()) for name, p in self.plain.named_parameters() if p.grad is not None}
        name = max(norms, key=lambda key: math.inf if math.isnan(norms[key]) else norms[key])
        return f"largest gradient: {name}, norm {norms[name]}"


def check_weights(network: nn.Module, where: str) -> None:
    """Raises: NonFiniteLoss: a weight is no number; names it and ``where``."""
    for name, value in network.named_parameters():
        if not value.isfinite().all():
            raise NonFiniteLoss(f"weights of {name} are no numbers after {where}")


def _running_mean(decay: float, mean: Tensor, now: Tensor, count: Tensor) -> Tensor:
    """One step of the mean; the first steps count more, so that the random start is soon forgotten."""
    return mean.lerp(now, 1 - torch.clamp((1 + count) / (10 + count), max=decay).to(mean.dtype))
