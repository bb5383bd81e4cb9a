"""The description of a trained model: all that is known of it without its weights. Imports no torch.

It carries what labelling needs to be right: the emotions' names, and which extractor made each modality's features.
`sdt_model.weights` makes the network of it.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from sdt_model.config import MODALITIES, Frozen, Modality, TrainingConfig
from sdt_model.markdown import escaped

WEIGHTS, DESCRIPTION, METRICS, CARD = "model.safetensors", "bundle.json", "metrics.json", "README.md"
HISTORY = "history.json"


FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")]
"""What a folder may be called: a description that comes from elsewhere leads nowhere else."""
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FeatureSource(Frozen):
    """Where a modality's features came from."""

    extractor: str
    """Registered name."""
    fingerprint: FolderName
    """Fingerprint of the extractor; features of another one are refused."""
    dim: int = Field(ge=1, le=2**20)
    """Length of a vector."""
    storage: Literal["float32", "float16"] = "float32"
    """How its numbers are kept; features that are kept in another way have another fingerprint."""

    def assignment(self, modality: Modality) -> str:
        """What makes `sdt extract` make such features."""
        more = "" if self.storage == "float32" else f" --set extractors.storage={self.storage}"
        return f"--set extractors.{modality}={self.extractor}{more}"


class HeldOut(Frozen):
    """What a model says of conversations that it was not trained on: its dev and test ones."""

    conversations: int
    """How many of them have an utterance with a label of the model's."""
    emotions: dict[str, float]
    """How many of them each emotion has, where a conversation counts as 1 and each emotion has its share of it."""


class Bundle(Frozen):
    """The description of a trained model (bundle.json)."""

    model_id: FolderName
    """Name of its folder."""
    emotions: tuple[str, ...]
    """Class names, in the order of the scores."""
    features: dict[Modality, FeatureSource]
    """The modalities it takes and how their features are made."""
    training: TrainingConfig
    """How it was trained."""
    archive: str
    """Archive it was trained on."""
    data_fingerprint: str
    """Fingerprint of the utterances it was trained on."""
    annotated: dict[str, int] = Field(default_factory=dict)
    """How many of those utterances are annotated with each emotion."""
    held_out: HeldOut | None = Field(None, exclude_if=lambda value: value is None)
    """What labels are compared with when they are looked at for drift; null: a version before this trained it."""
    made_with: dict[str, str] = Field(default_factory=dict)
    """Versions of the code and libraries that trained it."""
    calibration_temperature: Temperature = 1.0
    """Divides the fused head's logits, so that confidence is right as often as it says; fitted on dev."""
    student_temperatures: dict[Modality, Temperature] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """What divides a modality's logits where an utterance has that one alone; missing: `calibration_temperature`."""
    metrics: dict[str, float]
    """Scores of the selected epoch; `paper_protocol_*` ones are selected on the test split."""
    hashes: dict[str, str] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """SHA-256 of its weights, by file; empty: they are not written yet, or a version before this wrote them."""

    @field_validator("features")
    @classmethod
    def _in_the_network_s_order(cls, features: dict[Modality, FeatureSource]) -> dict[Modality, FeatureSource]:
        return {name: features[name] for name in MODALITIES if name in features}

    @field_validator("emotions")
    @classmethod
    def _names_of_their_own(cls, emotions: tuple[str, ...]) -> tuple[str, ...]:
        if not all(emotions) or len(set(emotions)) < len(emotions):
            raise ValueError("every emotion needs a name of its own")
        return emotions

    @property
    def code(self) -> str:
        """What trained it, in words."""
        return ", ".join(f"{name} {version}" for name, version in sorted(self.made_with.items()))


def card(bundle: Bundle) -> str:
    """The model card: what it is, what it was trained on, how well it did, and how that was selected."""
    made_with = f" with {bundle.code}" if bundle.code else ""
    rows = [f"| {escaped(name)} | {value:.4f} |" for name, value in sorted(bundle.metrics.items())]
    features = [f"| {m} | {escaped(s.extractor)} | {s.dim} | {s.fingerprint} |" for m, s in bundle.features.items()]
    return "\n".join(
        [
            f"# {bundle.model_id}",
            "",
            "SDT (Ma et al. 2023): emotions of the utterances of a conversation.",
            f"Trained on archive {escaped(f'{bundle.archive} (data {bundle.data_fingerprint}){made_with}')}.",
            f"Emotions: {escaped(', '.join(bundle.emotions))}.",
            "",
            "The epoch was selected on the dev split. Only `paper_protocol_*` scores were selected on the test split.",
            f"Confidence: the fused head's logits are divided by {bundle.calibration_temperature:.4f}, fitted on dev.",
            "`*_ece_before` and `*_ece_after` are the expected calibration errors without and with it.",
            "",
            "| score | value |",
            "| --- | --- |",
            *rows,
            "",
            "| modality | extractor | dimension | fingerprint |",
            "| --- | --- | --- | --- |",
            *features,
            "",
            "It knows the kinds of conversation it was trained on. Labels are estimates, not facts about people.",
            "",
        ]
    )
