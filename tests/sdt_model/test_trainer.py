import pytest
import torch

from sdt_model.config import MODALITIES, TrainingConfig
from sdt_model.model import SDT
from sdt_model.objective import Objective
from sdt_model.trainer import NonFiniteLoss, Splits, Trainer
from tests.sdt_model import made


def trainer(config: TrainingConfig, present: float = 1.0) -> Trainer:
    torch.manual_seed(config.optim.seed)
    lengths = [3, 8, 5, 2, 9, 4, 6, 1, 7, 5, 3, 4]
    splits = Splits(*(made.conversations(lengths, seed, present=present) for seed in (1, 2, 3)))
    model = SDT(config.model, made.DIMS, len(made.EMOTIONS))
    objective = Objective(config.objective, MODALITIES, made.EMOTIONS, splits.train.label)
    return Trainer(model, model, objective, splits, config)


def test_it_learns() -> None:
    run = trainer(made.training(dropout=0.1), present=0.8)
    before = run.evaluate(run.data.dev, "dev")["dev_weighted_f1"]
    losses = [run.epoch(number)["loss"] for number in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    assert run.evaluate(run.data.dev, "dev")["dev_weighted_f1"] > max(0.7, before)


def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit() -> None:
    config = made.training(dropout=0.4)
    whole, first, second = trainer(config), trainer(config), trainer(made.training(dropout=0.4, seed=5))
    for number in range(4):
        whole.epoch(number)
    for number in range(2):
        first.epoch(number)
    second.config = config
    second.restore(first.state())
    for number in range(2, 4):
        second.epoch(number)
    for name, value in whole.state().items():
        assert torch.equal(value, second.state()[name]), name


def test_a_non_finite_loss_stops_with_step_batch_and_gradient() -> None:
    run = trainer(made.training())
    run.data.train.features["audio"][4, 2] = float("inf")
    with pytest.raises(
        NonFiniteLoss, match=r"the loss is nan at epoch 3, step \d+, conversations \[.*largest gradient: "
    ):
        run.epoch(3)


def test_utterances_with_nothing_present_do_not_count_in_scores() -> None:
    run = trainer(made.training())
    wrong = run.data.dev
    wrong.present[:, 0] = False
    wrong.label[0] = (wrong.label[0] + 1) % 3
    changed = run.evaluate(wrong, "dev")
    wrong.label[0] = (wrong.label[0] + 1) % 3
    assert run.evaluate(wrong, "dev") == changed
