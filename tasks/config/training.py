"""Configuration of what trains: models, text encoders, and models again with other seeds or without a part."""

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, NonNegativeInt, field_validator, model_validator

from sdt_model.ablations import VARIANTS, unknown_variants
from sdt_model.config import MODALITIES, Frozen, Modality, Precision, TrainingConfig
from sdt_model.recipes import RecipeName, recipe
from tasks.config.stages import ExtractorNames, Leasing, RayConfig, Resources, RunSettings


def _named(value: object) -> object:
    """Replace the name of a recipe, as in a deployment's parameters, by its settings."""
    return recipe(value) if isinstance(value, str) else value


# Prefect holds parameters against the schema before anything reads them, so it must allow a name.
TrainingSettings = Annotated[
    TrainingConfig, BeforeValidator(_named, json_schema_input_type=TrainingConfig | RecipeName)
]


class Fitting(Frozen):
    """What a training run computes, wherever it runs."""

    training: TrainingSettings = TrainingConfig()
    """Settings of the network, loss and optimiser: the name of a recipe, or fields of its own."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """Share of the conversations without a `split` that are held out to choose the epoch by (dev)."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """Share of the conversations without a `split` that are held out to report scores on (test)."""


class Promoting(Frozen):
    """What becomes of a model once it is trained."""

    promote: Literal["if-not-worse", "always", "never"] = "if-not-worse"
    """Whether the new model goes into production. `if-not-worse`: where it is shown to score no worse than the one in
    production, and than the best that was there before, on the same dev conversations; `always`; `never`: not until
    `sdt promote`."""
    promote_margin: float = Field(0.02, ge=0)
    """How much less weighted F1 on dev the new model may have and still count as not worse."""
    promote_confidence: float = Field(0.9, gt=0.5, lt=1)
    """How sure it must be that the new model loses no more than `promote_margin`; too few dev conversations make it
    undecidable, and nothing changes."""


Fitted = TypeVar("Fitted", bound=Fitting)


def shared_out(config: Fitted, workers: int) -> Fitted:
    """The same configuration.

    Raises:
        ValueError: a batch has fewer conversations than there are workers.
    """
    if (size := config.training.optim.batch_conversations) < workers:
        raise ValueError(f"a batch of {size} conversations (batch_conversations) cannot be shared by {workers} workers")
    return config


def check_workers(ray: RayConfig, workers: int) -> None:
    """Raises: ValueError: several training workers are to share one process."""
    if ray.in_process and workers > 1:
        raise ValueError(
            f"{workers} training workers cannot share one process (ray.address=local): ask for 1, or leave it out"
        )


class Training(Leasing, Fitting, RunSettings):
    """How annotated conversations are trained on: from which features, and on how many workers."""

    extractors: ExtractorNames = ExtractorNames()
    """Whose features to train on."""
    modalities: tuple[Modality, ...] | None = None
    """Modalities that the model reads; null: all that have features."""
    workers: int = Field(1, ge=1)
    """Training workers that share every batch (data parallel)."""
    resources: Resources | None = None
    """CPUs, GPUs and memory of one training worker; null: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker has died."""

    @field_validator("modalities")
    @classmethod
    def _in_the_network_s_order(cls, names: tuple[Modality, ...] | None) -> tuple[Modality, ...] | None:
        if names == ():
            raise ValueError(f"name at least one of {', '.join(MODALITIES)}, or leave it out")
        return names and tuple(name for name in MODALITIES if name in names)

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> "Training":
        check_workers(self.ray, self.workers)
        return shared_out(self, self.workers)


class FinetuneConfig(Leasing, RunSettings):
    """From texts of annotated conversations to a text encoder."""

    encoder: str = "minilm"
    """Pretrained encoder to start from: `minilm`, a local folder, or the hub id of one with safetensors."""
    epochs: int = Field(4, ge=1)
    """Passes over the training split; the encoder of the epoch with the best weighted F1 on dev is saved."""
    learning_rate: float = Field(1e-4, gt=0)
    """Largest step size of the encoder's weights; those of its new head learn ten times as fast."""
    warmup: float = Field(0.1, gt=0, lt=1)
    """Share of the run over which the step size grows from 0; after it, it falls to 0 again."""
    weight_decay: float = Field(0.01, ge=0)
    """How strongly every step of AdamW pulls the weights towards 0; 0: not at all."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values dropped before the new head in training; within the encoder its own setting counts."""
    batch_utterances: int = Field(64, ge=1)
    """Utterances in a step's batch, over all training workers together."""
    batch_tokens: int = Field(4096, ge=1)
    """Most tokens, padding included, that a worker reads at once: more take more memory, and change no result."""
    max_tokens: int = Field(256, ge=8)
    """Most tokens of one input, of an utterance or of a stretch of its conversation; longer texts are cut. The encoder
    must have as many positions."""
    context: int = Field(0, ge=0)
    """Earlier turns that an input may begin with. 0: every utterance is read alone; more: inputs hold as much of a
    conversation as `max_tokens` allows, with the speakers' names."""
    folds: int = Field(1, ge=1, le=20)
    """Number of encoders to train. With several, each leaves its share of the training conversations out, so that their
    features come from an encoder that has not seen them."""
    at_once: int | None = Field(None, ge=1)
    """Encoders trained at the same time where there are several; null: as many as the nodes have cores and memory
    for. Without Ray: one."""
    teacher: str | None = None
    """ID of a fine-tuned encoder with several folds, whose predictions are learned beside the labels; null: labels
    alone. The archive must have its features (`sdt extract`)."""
    distil: float = Field(0.5, ge=0, le=1)
    """Share of the teacher's predictions in what is learned, beside the labels; without `teacher` it has no effect."""
    balance: float = Field(0.0, ge=0, le=1)
    """How much more a rare emotion counts: its weight is its share of the training labels to the power of minus this.
    0: all emotions count alike; 1: inversely to their share."""
    precision: Precision = "auto"
    """Number format of matrix products in training. `auto`: bfloat16 on a GPU that has it, float32 elsewhere."""
    seed: int = Field(0, ge=0)
    """Seed of the head's first weights, dropout and the order of batches: the same seed trains the same encoder."""
    dev_fraction: float = Field(0.1, gt=0, lt=0.5)
    """Share of the conversations without a `split` that are held out to choose the epoch by (dev)."""
    test_fraction: float = Field(0.1, ge=0, lt=0.5)
    """Share of the conversations without a `split` that are held out to report scores on (test)."""
    workers: int = Field(1, ge=1)
    """Training workers that share every batch (data parallel)."""
    resources: Resources | None = None
    """CPUs, GPUs and memory of one training worker; null: its share of all cores."""
    retries: int = Field(2, ge=0)
    """How often training goes on from its last checkpoint after a worker has died."""

    @model_validator(mode="after")
    def _one_worker_in_one_process(self) -> "FinetuneConfig":
        check_workers(self.ray, self.workers)
        return self


class TrainConfig(Promoting, Training):
    """From features of annotated conversations to a bundle."""


class RepeatConfig(Training):
    """A training with several seeds, scored on the test split; none of the models goes into production."""

    seeds: tuple[NonNegativeInt, ...] = Field((0, 1, 2), min_length=1)
    """Seeds to train with, one model each; `training.optim.seed` is ignored."""
    draws: int = Field(1000, ge=1)
    """Number of bootstrap draws that intervals' widths come from; each draws as many conversations as the test split
    has."""

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
    """Model to compare with on the same test conversations: its id, or `production`; null: no comparison."""


class AblateConfig(RepeatConfig):
    """From features of annotated conversations to what each part of the model is worth."""

    variants: tuple[str, ...] | None = None
    """Variants to train beside the full model, such as `without unimodal gates`; null: all. A wrong name lists them."""

    @field_validator("variants")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if message := unknown_variants(names or (), VARIANTS):
            raise ValueError(message)
        return names
