"""Configuration of the model and its training, frozen and checked on construction; imports nothing heavy."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Modality = Literal["text", "audio", "visual"]
MODALITIES: tuple[Modality, ...] = ("text", "audio", "visual")
Precision = Literal["auto", "float32"]
OptimizerName = Literal["adam", "adamw"]


class Frozen(BaseModel):
    """A configuration: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ModelConfig(Frozen):
    """The network (Ma et al. 2023)."""

    hidden: int = Field(1024, ge=2)
    """Width d of every transformer, gate and head; also the feed-forward width."""
    heads: int = Field(8, ge=1)
    """Attention heads; divides `hidden`."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout on transformer inputs, attention, feed-forward and the students' heads."""
    noise: float = Field(0.0, ge=0)
    """Deviation of the noise added in training to features, which have deviation 1 here; 0: none, as published."""
    clip: float | None = Field(10.0, gt=0)
    """Largest size of a feature, in deviations from its mean in training; absent: any, as published."""
    speakers: int = Field(9, ge=1)
    """Rows of the speaker table. The n-th speaker to appear in a conversation takes row n modulo this."""
    window: int = Field(512, ge=2)
    """Most turns seen at once; a longer conversation is scored in overlapping windows."""
    transformers: Literal["all", "intra", "inter"] = "all"
    """`intra`: only those from a modality to itself; `inter`: only those from one to another."""
    unimodal_gates: Literal["learned", "identity", "none"] = "learned"
    """`identity` freezes them to gate = sigmoid(x), as the published MELD run does; `none` lets all through."""
    multimodal_gate: Literal["learned", "none"] = "learned"
    """`none` fuses by the plain mean of the modalities that are present."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelConfig":
        if self.hidden % self.heads or self.hidden % 2:
            raise ValueError(f"hidden ({self.hidden}) must be even and a multiple of heads ({self.heads})")
        return self


class ObjectiveConfig(Frozen):
    """The self-distillation objective : task + gamma_ce * sum CE + gamma_kl * sum KL."""

    temperature: float = Field(1.0, gt=0)
    """Softens both sides of the KL terms."""
    gamma_task: float = Field(1.0, ge=0)
    """Weight of the teacher's cross-entropy."""
    gamma_ce: float = Field(1.0, ge=0)
    """Weight of the students' cross-entropies (hard labels)."""
    gamma_kl: float = Field(1.0, ge=0)
    """Weight of the students' divergences from the teacher (soft labels)."""
    class_weights: dict[str, float] | None = None
    """Cross-entropy weight by emotion; absent: as `balance` says."""
    balance: float = Field(0.0, ge=0, le=1)
    """Weighs an emotion by its share of the training labels to the power of minus this; 0: all alike, 1: inversely."""

    @model_validator(mode="after")
    def _one_weighting(self) -> "ObjectiveConfig":
        if self.balance and self.class_weights is not None:
            raise ValueError("class_weights and balance both weigh the emotions: give one of them")
        return self


class OptimConfig(Frozen):
    """Optimisation, as published unless a recipe says otherwise."""

    # Left out where it is the default: a model that was trained before there was a choice keeps its id.
    optimizer: OptimizerName = Field("adam", exclude_if=lambda name: name == "adam")
    """`adam`, as published, adds the weight decay to the gradient; `adamw` takes it from the weights directly."""
    learning_rate: float = Field(1e-4, gt=0)
    """Step size of the optimiser."""
    weight_decay: float = Field(1e-5, ge=0)
    """How strongly weights are pulled towards 0 in every step; 0: not at all."""
    batch_conversations: int = Field(16, ge=1)
    """Conversations in a global batch, over all workers."""
    batch_utterances: int | None = Field(None, ge=1)
    """Utterances in a global batch, of conversations of like length; absent: `batch_conversations` conversations."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance, in training, that a conversation is cut down to some of its modalities, and that an utterance is; every
    smaller subset is as likely."""
    precision: Precision = "auto"
    """Number format of training's products. `auto`: bfloat16 on a GPU that has it, and on a processor that has it (AMX)
    where `hidden` is 512 or more; float32 elsewhere. Labelling is float32 everywhere."""
    compile: bool = False
    """Have torch compile what it can of the network: needs a C++ compiler, and pays off on a GPU."""
    epochs: int = Field(100, ge=1)
    """At most this many passes over the training split."""
    patience: int = Field(10, ge=1)
    """Stop after this many epochs without a better dev weighted F1."""
    average: float = Field(0.0, ge=0, lt=1)
    """Decay of a running mean of the weights, which is then what is scored and kept; 0: none, as published."""
    seed: int = Field(0, ge=0)
    """Seeds initial weights, dropout and the order of batches."""


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
