"""Tiny encoders of every modality and a face detector, made on the spot and saved as their libraries save them."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from transformers import (
    BertTokenizerFast,
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

SPEECH = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
WIDTH = 16
FACE = 64  # pixels: the side of the faces that `tiny_detector` knows, red squares


def save(model: PreTrainedModel, folder: Path, seed: int = 0) -> Path:
    """Weights that are drawn wide enough to tell inputs apart, the same ones each time."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    model.save_pretrained(folder)
    return folder


def tiny_text(folder: Path, seed: int = 0) -> Path:
    """A RoBERTa of three narrow layers, with 62 positions, that reads letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=63, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return save(RobertaModel(config, add_pooling_layer=False), folder, seed)


def tiny_speech(folder: Path, kind: str = "wav2vec2", norm: str = "layer") -> Path:
    """Two narrow layers over convolutions with a step of 20 ms, as the real ones."""
    configuration, model = SPEECH[kind]
    config = configuration(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, feat_extract_norm=norm,
        conv_dim=(8,) * 7, do_stable_layer_norm=norm == "layer", num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, num_buckets=32,
    )  # fmt: skip
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer").save_pretrained(folder)
    return save(model(config), folder)


def tiny_vit(folder: Path) -> Path:
    """A classifier of faces, as those that name expressions are, on 32 x 32 pixels."""
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    config = ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
        patch_size=8, num_labels=3,
    )  # fmt: skip
    return save(ViTForImageClassification(config), folder)


def tiny_resnet(folder: Path) -> Path:
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, WIDTH], depths=[1, 1], layer_type="basic")
    return save(ResNetModel(config), folder)


def tiny_detector(path: Path) -> Path:
    """A network with YuNet's twelve outputs, which finds red squares of `FACE` pixels: one cell of 32 is its middle."""
    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        for name, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            kernel = np.zeros((channels, 3, stride, stride), np.float32)
            bias = np.full(channels, -20 if name in ("cls", "obj") else 0, np.float32)
            if stride == 32 and name in ("cls", "obj"):
                kernel[:] = np.array([-1, -1, 1])[None, :, None, None] / (32 * 32 * 5)  # blue, green, red
            if name == "bbox":
                bias[:] = (0.5, 0.5, np.log(FACE / stride), np.log(FACE / stride))
            key = f"{name}_{stride}"
            weights += [numpy_helper.from_array(kernel, f"w_{key}"), numpy_helper.from_array(bias, f"b_{key}")]
            weights.append(numpy_helper.from_array(np.array([1, -1, channels], np.int64), f"s_{key}"))
            flat = key if name in ("bbox", "kps") else f"l_{key}"
            nodes += [
                helper.make_node("Conv", ["input", f"w_{key}", f"b_{key}"], [f"c_{key}"],
                                 kernel_shape=[stride, stride], strides=[stride, stride]),
                helper.make_node("Transpose", [f"c_{key}"], [f"t_{key}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t_{key}", f"s_{key}"], [flat]),
            ]  # fmt: skip
            if flat != key:
                nodes.append(helper.make_node("Sigmoid", [flat], [key]))
            outputs.append(helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, [1, None, channels]))
    picture = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "faces", [picture], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
