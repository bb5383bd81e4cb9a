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


@pytest.mark.long
@pytest.mark.parametrize("half", [False, True])
def test_it_learns(half: bool) -> None:
    run = trainer(made.training(dropout=0.1), present=0.8)
    if half:
        run.plain.use_bf16_matmul()
    before = run.evaluate(run.data.dev, "dev")["dev_weighted_f1"]
    losses = [run.epoch(number)["loss"] for number in range(12)]
    assert losses[-1] < 0.5 * losses[0]
    assert run.evaluate(run.data.dev, "dev")["dev_weighted_f1"] > max(0.7, before)


@pytest.mark.long
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


def test_gradients_are_shortened_and_the_step_follows_the_schedule() -> None:
    def moved(progress: float, **optim: object) -> float:
        run = trainer(made.training(weight_decay=0.0, optimizer="adamw", **optim))
        before = run.plain.teacher.weight.detach().clone()
        run.step([0, 1, 2], "here", progress)
        norms = [p.grad.norm() for p in run.plain.parameters() if p.grad is not None]
        if "clip_norm" in optim:
            assert torch.stack(norms).norm() <= optim["clip_norm"] * 1.001
        return float((run.plain.teacher.weight - before).norm())

    whole = moved(0.5)
    assert moved(0.5, clip_norm=1e-3) == pytest.approx(whole, rel=0.05), "Adam's first step has no size of its own"
    assert moved(0.05, warmup=0.1) == pytest.approx(0.5 * whole, rel=1e-3)
    assert moved(0.5, schedule="linear") == pytest.approx(0.5 * whole, rel=1e-3)


def test_a_schedule_goes_on_where_it_was_after_an_interruption() -> None:
    config = made.training(warmup=0.2, schedule="cosine", clip_norm=0.5)
    whole, first, second = (trainer(config) for _ in range(3))
    for number in range(3):
        whole.epoch(number)
    first.epoch(0)
    second.restore(first.state())
    for number in (1, 2):
        second.epoch(number)
    assert all(torch.equal(value, second.state()[name]) for name, value in whole.state().items())


def test_weights_that_are_no_numbers_after_the_last_step_stop_it() -> None:
    run = trainer(made.training())
    torch.nn.init.constant_(run.plain.speaker.weight[3:4], torch.nan)  # of a speaker who does not speak
    run.data.train.speaker[:] = 0
    with pytest.raises(NonFiniteLoss, match=r"weights of speaker\.weight are no numbers after epoch 0"):
        run.epoch(0)


def test_what_is_no_number_says_no_emotion() -> None:
    free = made.training()
    run = trainer(free.model_copy(update={"model": free.model.model_copy(update={"clip": None})}))
    expected = run.evaluate(run.data.dev, "dev")
    run.data.dev.features["text"][0] = np.finfo(np.float32).max * np.array([1, -1] * 6)
    assert run.evaluate(run.data.dev, "dev") != expected
    for vectors in run.data.dev.features.values():
        vectors[:] = np.inf
    assert run.evaluate(run.data.dev, "dev")["dev_accuracy"] == 0
