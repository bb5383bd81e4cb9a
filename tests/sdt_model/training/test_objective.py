import numpy as np
import pytest
import torch

from sdt_model.batch import pack
from sdt_model.config import MODALITIES, ModelConfig, ObjectiveConfig, OptimConfig
from sdt_model.conversations import Conversations
from sdt_model.training.objective import Objective
from tests.fixtures import conversations as made
from tests.fixtures.networks import network


def loss(data: Conversations, chosen: list[int], config: ObjectiveConfig, shares: int = 1) -> torch.Tensor:
    """The loss of a global batch, added up over ``shares`` workers."""
    objective = Objective(config, MODALITIES, made.EMOTIONS, data.label)
    rows = data.rows(chosen)
    totals = objective.totals(data.label[rows], data.present[:, rows])
    model, parts = network(), [pack(data, chosen[r::shares]) for r in range(shares)]
    return torch.stack([objective.total(objective.terms(model(part), part, totals)) for part in parts]).sum()


def test_workers_shares_add_up_to_the_global_loss_however_uneven() -> None:
    data = made.conversations([9, 1, 2, 14, 3], present=0.6)
    data.label[[3, 11, 12]] = -1
    config = ObjectiveConfig(class_weights={"anger": 2.0, "joy": 0.5, "neutral": 1.0})
    whole = loss(data, [0, 1, 2, 3, 4], config)
    torch.testing.assert_close(loss(data, [0, 1, 2, 3, 4], config, shares=3), whole, atol=1e-5, rtol=0)


def test_utterances_without_a_label_do_not_count() -> None:
    data = made.conversations([6])
    before = loss(data, [0], ObjectiveConfig())
    data.label[2] = -1
    relabelled = loss(data, [0], ObjectiveConfig())
    assert not torch.isclose(before, relabelled)
    data.label[:] = -1
    assert loss(data, [0], ObjectiveConfig()) == 0


def test_terms_are_weighted_by_their_gammas() -> None:
    data = made.conversations([6])
    only_task = loss(data, [0], ObjectiveConfig(gamma_ce=0, gamma_kl=0))
    doubled = loss(data, [0], ObjectiveConfig(gamma_task=2, gamma_ce=0, gamma_kl=0))
    torch.testing.assert_close(doubled, 2 * only_task)


def test_an_absent_modality_teaches_its_student_nothing() -> None:
    data = made.conversations([5])
    data.present[1] = False
    data.features["audio"][:] = 0
    objective = Objective(ObjectiveConfig(), MODALITIES, made.EMOTIONS, data.label)
    batch = pack(data, [0])
    terms = objective.terms(network()(batch), batch, objective.totals(data.label, data.present))
    assert terms["ce.audio"] == 0 and terms["kl.audio"] == 0 and terms["ce.text"] > 0


def test_class_weights_must_name_the_emotions() -> None:
    with pytest.raises(ValueError, match="class_weights name"):
        Objective(ObjectiveConfig(class_weights={"joy": 1.0}), MODALITIES, made.EMOTIONS, np.zeros(1, np.int64))


def test_balance_weighs_by_the_shares_of_the_training_labels() -> None:
    label = np.array([0, 0, 0, 0, 1, -1, -1, -1])
    weights = [
        Objective(ObjectiveConfig(balance=balance), MODALITIES, made.EMOTIONS, label).class_weight
        for balance in (0.0, 0.5, 1.0)
    ]
    torch.testing.assert_close(weights[0], torch.ones(3))
    torch.testing.assert_close(weights[1][1] / weights[1][0], torch.tensor(2.0))
    torch.testing.assert_close(weights[2][1] / weights[2][0], torch.tensor(4.0))
    assert weights[2].isfinite().all(), "an emotion may be absent from the training split"
    with pytest.raises(ValueError, match="give one of them"):
        ObjectiveConfig(balance=0.5, class_weights={"joy": 1.0})


def test_gradients_are_finite_with_ragged_lengths_and_gaps() -> None:
    data = made.conversations([1, 17, 4], present=0.5)
    model, objective = network(), Objective(ObjectiveConfig(temperature=8.0), MODALITIES, made.EMOTIONS, data.label)
    batch = pack(data, [0, 1, 2])
    totals = objective.totals(data.label, data.present)
    objective.total(objective.terms(model(batch), batch, totals)).backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_smoothing_and_focus_are_those_of_their_papers_and_off_by_default() -> None:
    logits, label = torch.tensor([[2.0, 0.0, -1.0], [8.0, 0.0, 0.0], [0.0, 90.0, 0.0]]), torch.tensor([0, 0, 1])
    right = logits.softmax(-1)[torch.arange(3), label]

    def loss(**config: float) -> torch.Tensor:
        return Objective(ObjectiveConfig(**config), ("text",), made.EMOTIONS, np.array([0, 1, 2]))._nll(logits, label)

    torch.testing.assert_close(loss(), -right.log())
    smooth = -(0.7 * right.log() + 0.3 * logits.log_softmax(-1).mean(-1))
    torch.testing.assert_close(loss(label_smoothing=0.3), smooth)
    torch.testing.assert_close(loss(focal=2.0), (1 - right) ** 2 * -right.log(), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(loss(focal=2.0, label_smoothing=0.3)[0], ((1 - right) ** 2 * smooth)[0])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_gradient_of_one_that_is_certainly_right_is_a_number(power: float) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 0.0, 200.0]], requires_grad=True)
    objective = Objective(ObjectiveConfig(focal=power), ("text",), made.EMOTIONS, np.array([0, 1, 2]))
    objective._nll(logits, torch.tensor([0, 0])).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_a_setting_that_is_off_leaves_a_model_s_id_as_it_was() -> None:
    assert ObjectiveConfig().model_dump().keys() == {
        "temperature", "gamma_task", "gamma_ce", "gamma_kl", "class_weights", "balance"
    }  # fmt: skip
    assert ObjectiveConfig(focal=2.0).model_dump()["focal"] == 2.0
    assert not {"clip_norm", "warmup", "schedule", "optimizer"} & OptimConfig().model_dump().keys()
    assert OptimConfig(warmup=0.1, clip_norm=1.0).model_dump().items() >= {"warmup": 0.1, "clip_norm": 1.0}.items()


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_setting_that_is_no_number_is_refused(value: float) -> None:
    for kind, field in ((OptimConfig, "learning_rate"), (ObjectiveConfig, "temperature"), (ModelConfig, "noise")):
        with pytest.raises(ValueError, match=f"(?s){field}.*finite number"):
            kind(**{field: value})
    with pytest.raises(ValueError, match=r"(?s)class_weights.joy.*finite number"):
        ObjectiveConfig(class_weights={"joy": value})
