from typing import get_args

import pytest
import torch
from torch import nn

from sdt_model.config import OptimConfig, OptimizerName, TrainingConfig
from sdt_model.training.optimizers import OPTIMIZERS, build_optimizer
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
