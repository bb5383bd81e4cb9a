"""Configuration of the model and its training, frozen and checked on construction; imports nothing heavy."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Modality = Literal["text", "audio", "visual"]
MODALITIES: tuple[Modality, ...] = ("text", "audio", "visual")
WIDE = 512
"""Width from which on products are worth rounding: a narrower network's take no longer in float32."""
Precision = Literal["auto", "float32"]
Schedule = Literal["constant", "linear", "cosine"]
OptimizerName = Literal["adam", "adamw"]


class Frozen(BaseModel):
    """A configuration: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Numbers(Frozen):
    """A configuration whose numbers are numbers: neither infinite nor NaN, which every bound lets pass or hides."""

    model_config = ConfigDict(allow_inf_nan=False)


class ModelConfig(Numbers):
    """The network (Ma et al. 2023)."""

    hidden: int = Field(1024, ge=2, le=2**16)
    """Width of every transformer, gate and head, and of the feed-forward layers; even, and a multiple of `heads`."""
    heads: int = Field(8, ge=1)
    """Attention heads of each transformer; must divide `hidden`."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of values dropped in training: of transformer inputs, attention, feed-forward layers and students'
    heads."""
    noise: float = Field(0.0, ge=0)
    """Standard deviation of the noise that training adds to features, which are scaled to deviation 1; 0: none, as
    published."""
    clip: float | None = Field(10.0, gt=0)
    """Features are clipped to so many standard deviations from their mean in training; null: not clipped, as
    published."""
    speakers: int = Field(9, ge=1, le=2**20)
    """Number of speaker embeddings. Speakers are numbered as they appear in a conversation, and share an embedding
    where there are more of them."""
    window: int = Field(512, ge=2, le=2**20)
    """Most turns that the network sees at once. A longer conversation is trained on in pieces and scored in overlapping
    windows."""
    transformers: Literal["all", "intra", "inter"] = "all"
    """Which transformers the network has. `intra`: only those within a modality; `inter`: only those from one modality
    to another; `all`: both, as published."""
    unimodal_gates: Literal["learned", "identity", "none"] = "learned"
    """Gates on each transformer's output x. `learned`: sigmoid(W x); `identity`: sigmoid(x), as in the published MELD
    run; `none`: everything passes."""
    multimodal_gate: Literal["learned", "none"] = "learned"
    """How modalities are fused. `learned`: weighted by a gate, channel by channel; `none`: by the plain mean of those
    that are present."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelConfig":
        if self.hidden % self.heads or self.hidden % 2:
            raise ValueError(f"hidden ({self.hidden}) must be even and a multiple of heads ({self.heads})")
        return self


class ObjectiveConfig(Numbers):
    """The self-distillation objective: task + gamma_ce * sum CE + gamma_kl * sum KL."""

    temperature: float = Field(1.0, gt=0)
    """Divides teacher and student logits in the distillation terms: a larger one compares softer distributions."""
    gamma_task: float = Field(1.0, ge=0)
    """Weight in the loss of the cross-entropy of the fused head (teacher)."""
    gamma_ce: float = Field(1.0, ge=0)
    """Weight in the loss of the cross-entropies of the modalities' heads (students) with the labels."""
    gamma_kl: float = Field(1.0, ge=0)
    """Weight in the loss of the students' divergences from what the teacher predicts (self-distillation)."""
    class_weights: dict[str, float] | None = None
    """Weight of each emotion in the cross-entropies, for every annotated emotion; null: weights follow from
    `balance`."""
    # These are left out where they are the default: a model that was trained before they could be set keeps its id.
    label_smoothing: float = Field(0.0, ge=0, lt=1, exclude_if=lambda share: share == 0)
    """Share of every label that the cross-entropies give to all emotions alike; 0: none, as published."""
    focal: float = Field(0.0, ge=0, exclude_if=lambda power: power == 0)
    """How much less an utterance counts that the model is sure of and right (focal loss): its cross-entropies times
    (1 - probability) to this power. 0: all count alike, as published; 2 is common."""
    balance: float = Field(0.0, ge=0, le=1)
    """How much more a rare emotion counts: its weight is its share of the training labels to the power of minus this.
    0: all emotions count alike; 1: inversely to their share."""

    @model_validator(mode="after")
    def _one_weighting(self) -> "ObjectiveConfig":
        if self.balance and self.class_weights is not None:
            raise ValueError("class_weights and balance both weigh the emotions: give one of them")
        return self


class OptimConfig(Numbers):
    """Optimisation, as published unless a recipe says otherwise."""

    # Left out where it is the default: a model that was trained before there was a choice keeps its id.
    optimizer: OptimizerName = Field("adam", exclude_if=lambda name: name == "adam")
    """Optimiser. `adam`, as published, adds the weight decay to the gradient; `adamw` applies it to the weights
    directly."""
    learning_rate: float = Field(1e-4, gt=0)
    """Step size of the optimiser."""
    weight_decay: float = Field(1e-5, ge=0)
    """How strongly every step pulls the weights towards 0; 0: not at all."""
    clip_norm: float | None = Field(None, gt=0, exclude_if=lambda norm: norm is None)
    """Gradients of a larger norm are shortened to this one, such as 1.0; null: none are, as published."""
    warmup: float = Field(0.0, ge=0, lt=1, exclude_if=lambda share: share == 0)
    """Share of the run over which the step size grows from 0; 0: it begins whole, as published. The run is all of
    `epochs`, whether `patience` ends it earlier or not."""
    schedule: Schedule = Field("constant", exclude_if=lambda name: name == "constant")
    """What becomes of the step size after that. `constant`, as published; `linear`: it falls evenly to 0 at the end of
    `epochs`; `cosine`: along half a cosine."""
    batch_conversations: int = Field(16, ge=1)
    """Conversations in a step's batch, over all training workers together."""
    batch_utterances: int | None = Field(None, ge=1)
    """Utterances in a step's batch, about, of conversations of similar length; null: `batch_conversations` counts
    instead."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability that training hides some modalities of a conversation, and again of an utterance, so that the model
    learns to do without; every smaller subset is equally likely. 0: never."""
    precision: Precision = "auto"
    """Number format of matrix products in training. `auto`: bfloat16 on a GPU that has it, and on a processor that has
    it (AMX) where `hidden` is 512 or more; float32 elsewhere. Labelling is float32 everywhere."""
    compile: bool = False
    """Compile what torch can compile of the network: needs a C++ compiler, and pays off on a GPU."""
    epochs: int = Field(100, ge=1)
    """Most passes over the training split."""
    patience: int = Field(10, ge=1)
    """Training stops after this many epochs without a better weighted F1 on the dev split."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay of a running mean of the weights, which then is scored and saved in their place, such as 0.998; 0: no mean,
    as published."""
    seed: int = Field(0, ge=0)
    """Seed of the initial weights, dropout and the order of batches: the same seed trains the same model."""


class TrainingConfig(Frozen):
    """Everything that decides what a training run computes."""

    model: ModelConfig = ModelConfig()
    """The network."""
    objective: ObjectiveConfig = ObjectiveConfig()
    """The loss."""
    optim: OptimConfig = OptimConfig()
    """The optimiser and its schedule."""

    def seeded(self, seed: int) -> "TrainingConfig":
        """The same with another seed."""
        return self.model_copy(update={"optim": self.optim.model_copy(update={"seed": seed})})
