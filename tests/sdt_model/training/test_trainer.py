from itertools import pairwise

import numpy as np
import pytest
import torch

from sdt_model.config import MODALITIES, TrainingConfig
from sdt_model.model import SDT
from sdt_model.training.objective import Objective
from sdt_model.training.trainer import NonFiniteLoss, Splits, Trainer
from tests.fixtures import conversations as made


def trainer(config: TrainingConfig, present: float = 1.0) -> Trainer:
    torch.manual_seed(config.optim.seed)
    lengths = [3, 8, 5, 2, 9, 4, 6, 1, 7, 5, 3, 4]
    splits = Splits(*(made.conversations(lengths, seed, present=present) for seed in (1, 2, 3)))
    model = SDT(config.model, made.DIMS, len(made.EMOTIONS))
    objective = Objective(config.objective, MODALITIES, made.EMOTIONS, splits.train.label)
    return Trainer(model, model, objective, splits, config)


@pytest.mark.parametrize("half", [False, True])
def test_it_learns(half: bool) -> None:
    run = trainer(made.training(dropout=0.1), present=0.8)
    if half:
        run.plain.use_bf16_matmul()
    before = run.evaluate(run.data.dev, "dev")["dev_weighted_f1"]
    losses = [run.epoch(number)["loss"] for number in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    assert run.evaluate(run.data.dev, "dev")["dev_weighted_f1"] > max(0.7, before)


@pytest.mark.parametrize(("average", "half"), [(0.0, False), (0.9, False), (0.0, True)])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(average: float, half: bool) -> None:
    config = made.training(dropout=0.4, average=average)
    whole, first = trainer(config), trainer(config)
    second = trainer(made.training(dropout=0.4, seed=5, average=average))
    for run in (whole, first, second) if half else ():
        run.plain.use_bf16_matmul()
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


def test_the_running_mean_of_the_weights_is_what_is_kept() -> None:
    run = trainer(made.training(average=0.5))
    steps = []
    for number in range(4):
        run.step([0, 1, 2, 3], f"step {number}")
        steps.append(run.plain.teacher.weight.detach().clone())
    mean = steps[0]
    for count, now in enumerate(steps[1:], start=1):
        decay = min(0.5, (1 + count) / (10 + count))
        mean = decay * mean + (1 - decay) * now
    torch.testing.assert_close(run.scored.teacher.weight, mean)
    plain = trainer(made.training())
    assert plain.scored is plain.plain


def test_modality_dropout_takes_conversations_and_utterances_but_never_the_last() -> None:
    run, other = (trainer(made.training(modality_dropout=0.4), present=0.8) for _ in range(2))
    there = run.data.train.present
    seen = np.zeros(there.shape)
    whole_gone = 0
    for _ in range(200):
        thinned = run._thin(list(range(12)))
        assert (thinned.present <= there).all() and (thinned.present.any(axis=0) == there.any(axis=0)).all()
        assert (thinned.present == other._thin(list(range(12))).present).all(), "every worker draws the same"
        seen += thinned.present
        whole_gone += sum(not thinned.present[0, a:b].any() for a, b in pairwise(run.data.train.offset))
    assert 0.6 < seen[there].mean() / 200 < 0.8 and whole_gone > 0
    assert run.data.train.present is there
    run.epoch(0)


def test_a_long_conversation_is_trained_on_in_pieces_and_scored_in_windows() -> None:
    config = made.training()
    short = config.model_copy(update={"model": config.model.model_copy(update={"window": 4})})
    run = trainer(short)
    assert run.data.train.lengths.max() <= 4 and run.data.train.lengths.sum() == len(run.data.train.label)
    assert np.isfinite(run.epoch(0)["loss"]) and 0 <= run.evaluate(run.data.dev, "dev")["dev_weighted_f1"] <= 1


def test_a_non_finite_loss_stops_with_step_batch_and_gradient() -> None:
    run = trainer(made.training())
    run.data.train.features["audio"][4, 2] = float("nan")
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
