"""Configuration of what trains: models, text encoders, and models again with other seeds or without a part."""

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, NonNegativeInt, field_validator, model_validator

from sdt_model.ablations import VARIANTS, unknown_variants
from sdt_model.config import MODALITIES, Frozen, Modality, Precision, TrainingConfig
from sdt_model.recipes import RecipeName, recipe
from tasks.config.stages import ExtractorNames, Leasing, Resources, RunSettings


def _named(value: object) -> object:
    """The settings of a recipe, where its name is given in their place, as in a deployment's parameters."""
    return recipe(value) if isinstance(value, str) else value


# Prefect holds parameters against the schema before anything reads them, so it must allow a name.
TrainingSettings = Annotated[
    TrainingConfig, BeforeValidator(_named, json_schema_input_type=TrainingConfig | RecipeName)
]


class Fitting(Frozen):
    """What a training run computes, wherever it runs."""

    training: TrainingSettings = TrainingConfig()
    """Model, objective and optimisation: each field, or the name of a recipe."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """Share of conversations without a split that become dev."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """Share of conversations without a split that become test."""


class Promoting(Frozen):
    """What becomes of a model once it is trained."""

    promote: Literal["if-not-worse", "always", "never"] = "if-not-worse"
    """Whether the new model goes into production: where it is not worse than the one there on the same dev
    conversations, by a paired bootstrap; in any case; or not, until `sdt promote`."""
    promote_margin: float = Field(0.02, ge=0)
    """Dev weighted F1 that the new model may lose and still count as not worse."""
    promote_confidence: float = Field(0.9, gt=0.5, lt=1)
    """Share of the bootstrap's draws in which it must not lose more than that."""


Fitted = TypeVar("Fitted", bound=Fitting)


def shared_out(config: Fitted, workers: int) -> Fitted:
    if (size := config.training.optim.batch_conversations) < workers:
        raise ValueError(f"a batch of {size} conversations (batch_conversations) cannot be shared by {workers} workers")
    return config


class Training(Leasing, Fitting, RunSettings):
    """On which features of annotated conversations training runs, and on how many workers."""

    extractors: ExtractorNames = ExtractorNames()
    """Whose features to train on."""
    modalities: tuple[Modality, ...] | None = None
    """Modalities the model takes; absent: all that have features."""
    workers: int = Field(1, ge=1)
    """Data-parallel training workers."""
    resources: Resources | None = None
    """What one training worker asks for; absent: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker dies."""

    @field_validator("modalities")
    @classmethod
    def _in_the_network_s_order(cls, given: tuple[Modality, ...] | None) -> tuple[Modality, ...] | None:
        if given == ():
            raise ValueError(f"name at least one of {', '.join(MODALITIES)}, or leave it out")
        return given and tuple(name for name in MODALITIES if name in given)

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "Training":
        return shared_out(self, self.workers)


class FinetuneConfig(Leasing, RunSettings):
    """From texts of annotated conversations to a text encoder."""

    encoder: str = "minilm"
    """What to start from: `minilm`, a local folder, or the hub id of an encoder with safetensors."""
    epochs: int = Field(4, ge=1)
    """Passes over the training split; the one with the best dev weighted F1 is kept."""
    learning_rate: float = Field(1e-4, gt=0)
    """Largest step size of the encoder; its new head takes ten times as large ones."""
    warmup: float = Field(0.1, gt=0, lt=1)
    """Share of the run in which the step size grows; after it, it falls to nothing."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout before the head; within the encoder it is the encoder's own."""
    batch_utterances: int = Field(64, ge=1)
    """Utterances in a global batch, over all workers."""
    batch_tokens: int = Field(4096, ge=1)
    """Most tokens of a worker's pass, with padding; a larger share of the batch takes several passes."""
    max_tokens: int = Field(256, ge=8)
    """Most tokens that are read at once; the encoder must have as many positions."""
    context: int = Field(0, ge=0)
    """0: an utterance is read alone. Else as much of its conversation as `max_tokens` holds, with the speakers'
    names, where a window begins with up to this many turns of the one before."""
    folds: int = Field(1, ge=1, le=20)
    """More than 1: as many encoders, each without its share of the training conversations, which it then reads."""
    at_once: int | None = Field(None, ge=1)
    """Encoders trained at the same time; absent: as many as the nodes have cores and memory for."""
    teacher: str | None = None
    """ID of an encoder with folds: what it says of an utterance is learned beside the label. Of its own training
    conversations the fold says it that has not seen them; the archive must have its features (`sdt extract`)."""
    distil: float = Field(0.5, ge=0, le=1)
    """Share of the teacher in what is learned; the rest is the label's."""
    balance: float = Field(0.0, ge=0, le=1)
    """Weighs an emotion by its share of the training labels to the power of minus this; 0: all alike."""
    precision: Precision = "auto"
    """Number format of its products. `auto`: bfloat16 on a GPU that has it, float32 elsewhere."""
    seed: int = Field(0, ge=0)
    """Seeds the head's weights, dropout and the order of batches."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """As of train."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """As of train."""
    workers: int = Field(1, ge=1)
    """Data-parallel training workers."""
    resources: Resources | None = None
    """What one training worker asks for; absent: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker dies."""


class TrainConfig(Promoting, Training):
    """From features of annotated conversations to a bundle."""


class RepeatConfig(Training):
    """A training with several seeds, scored on the test split; none of the models goes into production."""

    seeds: tuple[NonNegativeInt, ...] = Field((0, 1, 2), min_length=1)
    """One model for each; `training.optim.seed` is passed over."""
    draws: int = Field(1000, ge=1)
    """Bootstrap draws, each of as many conversations as the test split has."""

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed is given twice: {list(seeds)}")
        return seeds

    def one(self, training: TrainingConfig, modalities: tuple[Modality, ...] | None, seed: int) -> TrainConfig:
        """A single training among the repeated ones."""
        fields = {name: getattr(self, name) for name in Training.model_fields} | {"promote": "never"}
        return TrainConfig.model_validate(fields | {"training": training.seeded(seed), "modalities": modalities})


class EvaluateConfig(RepeatConfig):
    """From features of annotated conversations to scores that say how far they could be off."""

    against: str | None = None
    """Model id, or `production`, to compare with on the same test conversations."""


class AblateConfig(RepeatConfig):
    """From features of annotated conversations to what each part of the model is worth."""

    variants: tuple[str, ...] | None = None
    """Names of the variants to train beside the full model, such as `without unimodal gates`; absent: all."""

    @field_validator("variants")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if said := unknown_variants(names or (), VARIANTS):
            raise ValueError(said)
        return names
