"""What can be asked of a pretrained encoder in its name, for each modality, and what that comes to."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from sdt_model.config import Frozen, Modality

_MOST_TOKENS = 512


class EncoderOptions(Frozen):
    """The options of one modality's encoders.

    `settled` and `dim` raise a `ValueError` where the encoder cannot do what is asked.
    """

    inputs: ClassVar[tuple[str, ...]]
    """What the encoder's library calls the one thing that it reads."""
    packages: ClassVar[tuple[str, ...]]
    """Those that decide a vector."""

    def settled(self, body: Any) -> Self:  # noqa: ARG002
        """With what the encoder itself decides filled in."""
        return self

    def dim(self, config: Any) -> int:
        """Length of a vector, from the encoder's configuration."""
        return int(config.hidden_size)


def _check_layers(layers: int, config: Any) -> None:
    if layers > config.num_hidden_layers:
        raise ValueError(f"layers={layers}, and the encoder has {config.num_hidden_layers}")


class TextOptions(EncoderOptions):
    """How a text becomes a vector."""

    inputs = ("input_ids",)
    packages = ("transformers",)

    pooling: Literal["mean", "cls"] = "mean"
    """Of the tokens' states: their mean, or the first one."""
    layers: int = Field(1, ge=1)
    """Last layers whose states are averaged."""
    tokens: int | None = Field(None, ge=8)
    """Most tokens of a text that are read; absent: as many as the encoder has positions, at most 512."""

    def settled(self, body: Any) -> Self:
        from sdt_model.text_encoder.encoder import positions

        _check_layers(self.layers, body.config)
        limit = positions(body)
        if self.tokens and limit and self.tokens > limit:
            raise ValueError(f"tokens={self.tokens}, and the encoder has {limit} positions")
        return self.model_copy(update={"tokens": self.tokens or min(_MOST_TOKENS, limit or _MOST_TOKENS)})


class AudioOptions(EncoderOptions):
    """How sound becomes a vector: mean and deviation of the states over time."""

    inputs = ("input_values", "input_features")
    packages = ("transformers", "av", "soundfile", "soxr")

    layers: int = Field(1, ge=1)
    """Last layers whose states are averaged."""

    def settled(self, body: Any) -> Self:
        _check_layers(self.layers, body.config)
        return self

    def dim(self, config: Any) -> int:
        adapted = getattr(config, "add_adapter", False)
        return 2 * int(config.output_hidden_size if adapted else config.hidden_size)


class VisualOptions(EncoderOptions):
    """How frames become a vector: mean and deviation of their states."""

    inputs = ("pixel_values",)
    packages = ("transformers", "av", "pillow")

    pooling: Literal["mean", "cls"] = "mean"
    """Of a frame's places: the mean of their states, or the first one, which a ViT keeps for the whole."""
    fps: float = Field(4.0, gt=0, le=120)
    """Frames a second."""
    frames: int = Field(16, ge=1, le=1024)
    """Most frames; those of a longer utterance lie further apart."""
    face: str | None = None
    """A YuNet face detector (an ONNX file): the largest face is described in the frame's place."""

    def settled(self, body: Any) -> Self:  # noqa: ARG002
        return (
            self if self.face is None else self.model_copy(update={"face": str(Path(self.face).expanduser().resolve())})
        )

    def dim(self, config: Any) -> int:
        if self.pooling == "cls" and not hasattr(config, "hidden_size"):
            raise ValueError("pooling=cls, and a convolutional encoder has no state for the whole")
        # A convolutional encoder states the width of every stage, or has a word of its own.
        for found in (getattr(config, word, None) for word in ("hidden_size", "hidden_sizes", "hidden_dim")):
            if found:
                return 2 * int(found[-1] if isinstance(found, (list, tuple)) else found)
        raise ValueError(f"config.json does not say how long a state of a {config.model_type} is")


OPTIONS: dict[Modality, type[EncoderOptions]] = {"text": TextOptions, "audio": AudioOptions, "visual": VisualOptions}
