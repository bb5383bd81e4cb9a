"""The model is numerically the published one, over packed utterances; dropout 0, float32."""

import pytest
import torch

from sdt_model.config import MODALITIES
from tests.fixtures import published as vectors
from tests.fixtures.published import expected, packed


def outputs(training: bool = True) -> tuple:
    data, batch = packed()
    network = vectors.model().train(training)
    output = network(batch)
    objective = vectors.objective()
    terms = objective.terms(output, batch, objective.totals(data.label, data.present))
    return network, output, objective, terms


@pytest.mark.parametrize("training", [True, False])
def test_log_probabilities(training: bool) -> None:
    _, output, _, _ = outputs(training)
    heads = dict(zip(MODALITIES, output.students, strict=True)) | {"fused": output.teacher}
    for name, logits in heads.items():
        published = expected(f"output.log_prob.{name}")
        torch.testing.assert_close(
            logits.log_softmax(-1), published, atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_seven_losses() -> None:
    _, _, _, terms = outputs()
    assert len(terms) == 7
    for name, value in terms.items():
        assert value.item() == pytest.approx(float(vectors.published().tensors[f"output.loss.{name}"]), abs=1e-5), name


def test_gradient_norms() -> None:
    network, _, objective, terms = outputs()
    objective.total(terms).backward()
    pairs = vectors.correspondence(network)
    assert len({id(parameter) for parameter, _ in pairs}) == len(list(network.parameters()))
    for parameter, names in pairs:
        expected = torch.stack([vectors.published().tensors[f"output.grad_norm.{name}"] for name in names]).norm()
        torch.testing.assert_close(
            parameter.grad.norm(), expected, rtol=1e-4, atol=1e-7, msg=lambda m, n=names[0]: f"{n}: {m}"
        )


@pytest.mark.long
def test_adam_trajectory() -> None:
    config = vectors.published().config
    (data, batch), network, objective = packed(), vectors.model(), vectors.objective()
    totals = objective.totals(data.label, data.present)
    adam = torch.optim.Adam(network.parameters(), lr=config["lr"], weight_decay=config["weight_decay"])
    losses = []
    for _ in range(config["steps"]):
        adam.zero_grad()
        loss = objective.total(objective.terms(network(batch), batch, totals))
        loss.backward()
        adam.step()
        losses.append(loss.detach().double())
    trajectory = vectors.published().tensors["output.loss_trajectory"]
    torch.testing.assert_close(torch.stack(losses), trajectory, rtol=1e-4, atol=0)
    after = expected("output.log_prob_after_steps.fused")
    torch.testing.assert_close(network(batch).teacher.log_softmax(-1), after, atol=1e-3, rtol=0)
