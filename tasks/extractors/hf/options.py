"""Options of a pretrained encoder, written in its name, for each modality."""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from sdt_model.config import Frozen, Modality

_MOST_TOKENS = 512


class EncoderOptions(Frozen):
    """Options of one modality's encoders.

    `settled` and `dim` raise a `ValueError` where an encoder cannot follow an option.
    """

    inputs: ClassVar[tuple[str, ...]]
    """Names that the encoder's library may give its one input."""
    packages: ClassVar[tuple[str, ...]]
    """Packages whose versions decide a vector."""

    def settled(self, body: Any) -> Self:  # noqa: ARG002
        """Fill in what is absent and the encoder itself decides."""
        return self

    def dim(self, config: Any) -> int:
        """Return the length of a vector, from the encoder's configuration."""
        return int(config.hidden_size)


def _check_layers(layers: int, config: Any) -> None:
    if layers > config.num_hidden_layers:
        raise ValueError(f"layers={layers}, and the encoder has {config.num_hidden_layers}")


class TextOptions(EncoderOptions):
    """Options of text encoders."""

    inputs = ("input_ids",)
    packages = ("transformers",)

    pooling: Literal["mean", "cls"] = "mean"
    """Vector of a text: the mean of its tokens' states, or the first one."""
    layers: int = Field(1, ge=1)
    """Number of last layers whose states are averaged."""
    tokens: int | None = Field(None, ge=8)
    """Tokens of a text that are read, from its beginning; absent: the encoder's positions, at most 512."""

    def settled(self, body: Any) -> Self:
        from sdt_model.text_encoder.encoder import positions

        _check_layers(self.layers, body.config)
        limit = positions(body)
        if self.tokens and limit and self.tokens > limit:
            raise ValueError(f"tokens={self.tokens}, and the encoder has {limit} positions")
        return self.model_copy(update={"tokens": self.tokens or min(_MOST_TOKENS, limit or _MOST_TOKENS)})


class AudioOptions(EncoderOptions):
    """Options of speech encoders; a vector is the mean and deviation of the states over time."""

    inputs = ("input_values", "input_features")
    packages = ("transformers", "av", "soundfile", "soxr")

    layers: int = Field(1, ge=1)
    """Number of last layers whose states are averaged."""

    def settled(self, body: Any) -> Self:
        _check_layers(self.layers, body.config)
        return self

    def dim(self, config: Any) -> int:
        adapted = getattr(config, "add_adapter", False)
        return 2 * int(config.output_hidden_size if adapted else config.hidden_size)


class VisualOptions(EncoderOptions):
    """Options of vision encoders; a vector is the mean and deviation of the frames' states."""

    inputs = ("pixel_values",)
    packages = ("transformers", "av", "pillow")

    pooling: Literal["mean", "cls"] = "mean"
    """State of a frame: the mean over its patches, or the first one, which a ViT uses for the whole."""
    fps: float = Field(4.0, gt=0, le=120)
    """Frames read from each second of an utterance."""
    frames: int = Field(16, ge=1, le=1024)
    """Frames at most; those of a longer utterance lie further apart."""
    face: str | None = None
    """YuNet face detector, an ONNX file; the largest face is then described instead of the frame."""

    def settled(self, body: Any) -> Self:  # noqa: ARG002
        return (
            self if self.face is None else self.model_copy(update={"face": str(Path(self.face).expanduser().resolve())})
        )

    def dim(self, config: Any) -> int:
        if self.pooling == "cls" and not hasattr(config, "hidden_size"):
            raise ValueError("pooling=cls, and a convolutional encoder has no state for the whole")
        # A convolutional encoder states the width of every stage, or uses a key of its own.
        for width in (getattr(config, key, None) for key in ("hidden_size", "hidden_sizes", "hidden_dim")):
            if width:
                return 2 * int(width[-1] if isinstance(width, (list, tuple)) else width)
        raise ValueError(f"config.json does not say how long a state of a {config.model_type} is")


OPTIONS: dict[Modality, type[EncoderOptions]] = {"text": TextOptions, "audio": AudioOptions, "visual": VisualOptions}
