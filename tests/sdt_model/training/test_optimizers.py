from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from sdt_model.config import OptimConfig, OptimizerName, Schedule, TrainingConfig
from sdt_model.training.optimizers import OPTIMIZERS, build_optimizer, step_share
from tasks.storage.manifest import fingerprint


def test_the_configuration_names_exactly_those_of_the_registry() -> None:
    assert set(get_args(OptimizerName)) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_takes_its_settings_and_learns(name: OptimizerName) -> None:
    layer = nn.Linear(3, 1)
    optimizer = build_optimizer(layer.parameters(), OptimConfig(optimizer=name, learning_rate=0.05, weight_decay=0.01))
    assert {(group["lr"], group["weight_decay"]) for group in optimizer.param_groups} == {(0.05, 0.01)}
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (layer(torch.eye(3)) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_default_leaves_ids_of_models_as_they_were_before_there_was_a_choice() -> None:
    assert "optimizer" not in OptimConfig().model_dump(mode="json")
    assert fingerprint(TrainingConfig.model_validate({"optim": {"optimizer": "adam"}})) == "f5492d63b48284df"
    other = TrainingConfig(optim=OptimConfig(optimizer="adamw"))
    assert fingerprint(other) != fingerprint(TrainingConfig())
    assert TrainingConfig.model_validate_json(other.model_dump_json()) == other


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_the_step_size_grows_and_falls_as_configured(schedule: Schedule, warmup: float) -> None:
    optim = OptimConfig(schedule=schedule, warmup=warmup)
    progress = np.linspace(0.001, 0.999, 500)
    shares = np.array([step_share(each, optim) for each in progress])
    growing = progress < warmup
    np.testing.assert_allclose(shares[growing], progress[growing] / 0.2)
    rest = shares[~growing]
    assert rest[0] == pytest.approx(1.0, abs=0.01) and ((shares >= 0) & (shares <= 1)).all()
    assert (np.diff(rest) <= 0).all() and rest[-1] == pytest.approx(1.0 if schedule == "constant" else 0.0, abs=0.01)
    if schedule != "constant":
        assert rest[len(rest) // 2] == pytest.approx(0.5, abs=0.02)
