"""Encoders of other shapes than BERT's, made on the spot: what they can read, and weights that are not there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    ModernBertConfig,
    RobertaConfig,
    RobertaModel,
)

from sdt_model.encoder import blank_body, load_body, positions

NARROW: dict[str, Any] = {
    "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (BertConfig(**NARROW, max_position_embeddings=40), 40),
        (RobertaConfig(**NARROW, max_position_embeddings=42, pad_token_id=1), 40),
        (DistilBertConfig(vocab_size=20, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=24), 24),
        (ModernBertConfig(**NARROW, max_position_embeddings=96, pad_token_id=0), 96),
    ],
    ids=lambda value: getattr(value, "model_type", str(value)),
)
def test_positions_are_those_that_tokens_can_take(config: Any, limit: int, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    assert positions(blank_body(tmp_path)) == limit


def test_roberta_reads_as_many_tokens_and_not_one_more(tmp_path: Path) -> None:
    RobertaModel(RobertaConfig(**NARROW, max_position_embeddings=42, pad_token_id=1)).save_pretrained(tmp_path)
    body = load_body(tmp_path)
    limit = positions(body)
    assert limit == 40
    body(input_ids=torch.full((1, limit), 5))
    with pytest.raises((IndexError, RuntimeError)):
        body(input_ids=torch.full((1, limit + 1), 5))


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    torch.manual_seed(0)
    BertModel(BertConfig(**NARROW)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights of BertModel, such as encoder\.layer\.1\.output"):
        load_body(tmp_path)


def test_a_classifier_s_encoder_is_read_without_its_head(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = BertForSequenceClassification(BertConfig(**NARROW))
    classifier.save_pretrained(tmp_path)
    body, ids = load_body(tmp_path), torch.arange(5, 15)[None]
    with torch.inference_mode():
        expected = classifier.eval().bert(input_ids=ids).last_hidden_state
        assert torch.allclose(body(input_ids=ids).last_hidden_state, expected, atol=1e-6)
