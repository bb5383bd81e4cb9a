"""The baseline is the published model too: it must not be slow by computing something else."""

import torch

from benchmarks.reference.padded import PaddedSDT, padded_loss
from sdt_model.config import MODALITIES
from tests.fixtures.published import published


def test_the_baseline_has_the_published_scores_and_loss() -> None:
    vectors, config = published(), published().config
    model = PaddedSDT(config["dims"], config["hidden_dim"], config["heads"], config["classes"], config["speakers"], 0.0)
    model.load_state_dict({k.removeprefix("weight."): v for k, v in vectors.tensors.items() if k.startswith("weight.")})
    mask = vectors.tensors["input.mask"].bool()
    features = {name: vectors.tensors[f"input.{name}"] for name in MODALITIES}
    students, teacher = model(features, mask, vectors.tensors["input.speaker"].long())
    for name, logits in zip((*MODALITIES, "fused"), (*students, teacher), strict=True):
        expected = vectors.tensors[f"output.log_prob.{name}"][mask]
        torch.testing.assert_close(logits[mask].log_softmax(-1), expected, atol=1e-5, rtol=0)
    loss = padded_loss(students, teacher, vectors.tensors["input.label"].long(), mask, config["temperature"])
    torch.testing.assert_close(loss.detach().double(), vectors.tensors["output.loss_trajectory"][0], atol=1e-5, rtol=0)
