"""Encoders of other shapes than BERT's, made on the spot: what they can read, and weights that are not there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdt_model.text_encoder.encoder import TextEncoder, blank_body, load_body, positions
from sdt_model.text_encoder.inputs import pack_windows
from sdt_model.text_encoder.windows import Window

NARROW: dict[str, Any] = {
    "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip


DISTIL = {"vocab_size": 20, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "settings", "limit"),
    [
        ("Bert", {**NARROW, "max_position_embeddings": 40}, 40),
        ("Roberta", {**NARROW, "max_position_embeddings": 42, "pad_token_id": 1}, 40),
        ("DistilBert", {**DISTIL, "max_position_embeddings": 24}, 24),
        ("ModernBert", {**NARROW, "max_position_embeddings": 96, "pad_token_id": 0}, 96),
    ],
    ids=["bert", "roberta", "distilbert", "modernbert"],
)
def test_positions_are_those_that_tokens_can_take(
    kind: str, settings: dict[str, Any], limit: int, tmp_path: Path
) -> None:
    import transformers

    getattr(transformers, f"{kind}Config")(**settings).save_pretrained(tmp_path)
    assert positions(blank_body(tmp_path)) == limit


def test_roberta_reads_as_many_tokens_and_not_one_more(tmp_path: Path) -> None:
    from transformers import RobertaConfig, RobertaModel

    RobertaModel(RobertaConfig(**NARROW, max_position_embeddings=42, pad_token_id=1)).save_pretrained(tmp_path)
    body = load_body(tmp_path)
    limit = positions(body)
    assert limit == 40
    body(input_ids=torch.full((1, limit), 5))
    with pytest.raises((IndexError, RuntimeError)):
        body(input_ids=torch.full((1, limit + 1), 5))


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig(**NARROW)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of BertModel, such as encoder\.layer\.1\.output"):
        load_body(tmp_path)


def test_a_classifier_s_encoder_is_read_without_its_head(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    classifier = BertForSequenceClassification(BertConfig(**NARROW))
    classifier.save_pretrained(tmp_path)
    body, ids = load_body(tmp_path), torch.arange(5, 15)[None]
    with torch.inference_mode():
        expected = classifier.eval().bert(input_ids=ids).last_hidden_state
        assert torch.allclose(body(input_ids=ids).last_hidden_state, expected, atol=1e-6)


def test_prepared_for_training_it_computes_the_same() -> None:
    from transformers import AutoModel, BertConfig

    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    encoder = TextEncoder(AutoModel.from_config(config), 3)
    batch = pack_windows([Window([1, 7, 7, 2], [(1, 3)], [0]), Window([1, 9, 2], [(1, 2)], [1])], padding=0)

    def gradients() -> dict[str, torch.Tensor]:
        encoder.zero_grad()
        for _ in range(2):  # two passes of a step
            encoder(batch)[1].square().sum().backward()
        found = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
        return {name: grad.to_dense() if grad.is_sparse else grad.clone() for name, grad in found.items()}

    before = gradients()
    encoder.prepare_training()
    after = gradients()
    assert before.keys() == after.keys() and encoder.body.embeddings.word_embeddings.weight.grad.is_sparse
    for name, gradient in before.items():
        torch.testing.assert_close(after[name], gradient, rtol=1e-5, atol=1e-6)
    assert sum(type(module) is torch.nn.Dropout for module in encoder.modules()) == 0
