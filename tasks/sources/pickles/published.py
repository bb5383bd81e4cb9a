"""The tuples that SDT, MMGCN and COSMIC publish of MELD and IEMOCAP: the order and meaning of their fields.

A field is a dict from a conversation to a value for each of its utterances, in their order. The number and types of
the fields tell which tuple a file holds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from sdt_model.config import MODALITIES, Modality
from tasks.errors import WorkflowError

MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
IEMOCAP = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
# The content may be this much larger than the file: the same object can be referred to in many places.
_MOST_GROWTH = 16
_SMALL = 2**20
_MOST_VALUES = 2**16  # in a vector
_FEW, _DEEPEST = (
    16,
    5,
)  # items and levels of a pickle of unknown layout that are looked at; a one-hot speaker is no feature


class Layout(NamedTuple):
    """One published tuple.

    Attributes:
        speakers: kind of a speaker's value: `vector` (one-hot) or `text` (a letter).
        fields: names in their order. A `-` is ignored, as its authors do; several of one name, the last layers of
            RoBERTa, are averaged, as theirs do.
    """

    name: str
    emotions: tuple[str, ...]
    speakers: str
    fields: tuple[str, ...]


def _layout(name: str, fields: str) -> Layout:
    emotions, speakers = (MELD, "vector") if name.endswith("MELD") else (IEMOCAP, "text")
    return Layout(name, emotions, speakers, tuple(fields.split()))


LAYOUTS = (
    # SDT reads the first of the four layers alone, COSMIC their mean.
    _layout("SDT on MELD", "- speakers labels text - - - audio visual sentences train test -"),
    _layout("SDT on IEMOCAP", "- speakers labels text - - - audio visual sentences train test"),
    _layout("MMGCN on MELD", "- speakers labels text audio visual sentences train test -"),
    _layout("MMGCN on IEMOCAP", "- speakers labels text audio visual sentences train test"),
    _layout("DialogueRNN on MELD", "- speakers labels text audio sentences train test -"),
    _layout("COSMIC on MELD", "speakers labels - text text text text sentences train test dev"),
    _layout("COSMIC on IEMOCAP", "speakers labels text text text text sentences train test dev"),
)
_KINDS = {"labels": "number", "sentences": "text", "text": "vector", "audio": "vector", "visual": "vector"}
_SPLITS = ("test", "dev", "train")


class Conversation(NamedTuple):
    """A conversation's values, an item for each utterance."""

    id: str
    split: str
    speakers: list[str | None]
    texts: list[str | None]
    emotions: list[str]


@dataclass(frozen=True)
class Published:
    """A file's tuple and the layout that it fits; every field has the same conversations.

    Attributes:
        fields: by name, a list where several have it, such as the layers of text.
        dims: length of each modality's vectors.
        keys: the file's own key of each conversation, by the conversation's id.
    """

    layout: Layout
    fields: dict[str, list[Any]]
    dims: dict[Modality, int]
    keys: dict[str, Any]

    def conversations(self) -> Iterator[Conversation]:
        return (self._conversation(name, key) for name, key in self.keys.items())

    def vectors(self, conversation: str) -> dict[Modality, npt.NDArray[np.float32]]:
        """Return a conversation's vectors (T, C) of each modality, several layers averaged.

        Raises:
            WorkflowError: a value does not fit into a float.
        """
        key = self.keys[conversation]
        layers = {m: [_matrix(part[key], conversation, m) for part in self.fields[m]] for m in self.dims}
        return {m: np.mean(matrices, axis=0).reshape(-1, self.dims[m]) for m, matrices in layers.items()}

    def _conversation(self, name: str, key: Any) -> Conversation:
        speakers, labels, texts = (self.fields[field][0][key] for field in ("speakers", "labels", "sentences"))
        split = next((split for split in _SPLITS if split in self.fields and key in self.fields[split][0]), "unused")
        return Conversation(
            name, split, [_speaker(s) for s in speakers], [_text(t) for t in texts],
            [_emotion(label, self.layout, name) for label in labels],
        )  # fmt: skip


def published(content: object, size: int) -> Published:
    """Recognise the content of a file of ``size`` bytes.

    Raises:
        WorkflowError: the content fits no published layout, or its fields do not fit each other.
    """
    parts = content if isinstance(content, tuple | list) else ()
    layout = next((layout for layout in LAYOUTS if _fits(layout, parts)), None)
    if layout is None:
        if _is_text_alone(content):
            raise WorkflowError(
                "the pickle holds text and no features, and sdt-pickle reads published features\n"
                "  bring it in as a table: if you trust it, write it as JSON, in Python:\n"
                "    json.dump(pickle.load(open('x.pkl', 'rb')), open('x.json', 'w'))\n"
                "  then `sdt ingest table x.json`, with `records` where its rows lie deeper, and `sdt extract`"
            )
        known = "".join(f"\n    {layout.name}: {' '.join(layout.fields)}" for layout in LAYOUTS)
        kinds = " ".join(type(part).__name__ for part in parts[:20]) or type(content).__name__
        raise WorkflowError(
            f"the pickle fits no published layout\n  found: {len(parts)} fields: {kinds}\n  known:{known}"
        )
    fields: dict[str, list[Any]] = {}
    for name, part in zip(layout.fields, parts, strict=True):
        if name != "-":
            fields.setdefault(name, []).append(set(part) if name in _SPLITS else part)
    dims = {m: len(_first(fields[m][0])) for m in MODALITIES if m in fields}
    result = Published(layout, fields, dims, _keys(fields["labels"][0]))
    _check(result, size)
    return result


def _is_text_alone(content: object) -> bool:
    """Whether there is text in a pickle and no vector; looks at the first few items of every container."""
    texts, below = 0, [(content, 0)]
    while below:
        value, depth = below.pop()
        texts += isinstance(value, str)
        if isinstance(value, np.ndarray) or (_kind(value) == "vector" and len(cast(Sequence[Any], value)) > _FEW):
            return False
        if isinstance(value, dict | list | tuple) and depth < _DEEPEST:
            items = value.values() if isinstance(value, dict) else value
            below += [(item, depth + 1) for item in islice(items, _FEW)]
    return texts > 0


def _fits(layout: Layout, parts: Sequence[Any]) -> bool:
    if len(parts) != len(layout.fields):
        return False
    for name, part in zip(layout.fields, parts, strict=True):
        if name in _SPLITS:
            if not (isinstance(part, list | tuple | set) and all(isinstance(key, int | str) for key in part)):
                return False
        elif name != "-" and not (isinstance(part, dict) and _kind(_first(part)) == _expected(name, layout)):
            return False
    return True


def _expected(field: str, layout: Layout) -> str:
    return layout.speakers if field == "speakers" else _KINDS[field]


def _first(part: dict[Any, Any]) -> Any:
    """A field's value for the first utterance; None where there is no utterance."""
    return next((value[0] for value in part.values() if _is_sequence(value) and len(value)), None)


def _kind(value: object) -> str:
    if _is_number(value):
        return "number"
    if isinstance(value, str):
        return "text"
    flat = value.ndim == 1 if isinstance(value, np.ndarray) else _is_sequence(value) and all(map(_is_number, value))
    return "vector" if flat and 0 < len(cast(Sequence[Any], value)) <= _MOST_VALUES else type(value).__name__


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.generic)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _keys(labels: dict[Any, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key in labels:
        number = isinstance(key, int) and abs(key) < 2**63
        name = str(key).strip() if number or isinstance(key, str) else ""
        if not name or name in keys or _text(name) != name:
            shown = ascii(name[:60]) if name else type(key).__name__
            raise WorkflowError(f"the pickle's conversations need distinct names, and one is called {shown}")
        keys[name] = key
    return keys


def _check(content: Published, size: int) -> None:
    """Check that every field has a value of the right kind and length for every utterance, and that they stay small.

    Raises:
        WorkflowError: otherwise; names the conversation and the field.
    """
    unpacked = 0
    for name, key in content.keys.items():
        count = None
        for field, part in ((f, p) for f, parts in content.fields.items() if f not in _SPLITS for p in parts):
            items = part.get(key)
            if not _is_sequence(items) or len(items) != (len(items) if count is None else count):
                raise WorkflowError(f"conversation {name!r}: {field} is missing or of another length than those before")
            count = len(items)
            unpacked += _check_items(content, name, field, items)
            if unpacked > max(_SMALL, _MOST_GROWTH * size):
                raise WorkflowError(f"the pickle unpacks to more than {_MOST_GROWTH} times its {size:,} bytes: refused")


def _check_items(content: Published, name: str, field: str, items: Sequence[Any]) -> int:
    """Check a field's values of one conversation.

    Returns:
        Their size, in bytes or characters.
    """
    expected, length, size = _expected(field, content.layout), content.dims.get(cast(Modality, field)), 0
    for turn, item in enumerate(items):
        kind = _kind(item)
        if kind != expected or (length is not None and len(item) != length):
            what = f"{expected} of {length}" if length is not None else expected
            raise WorkflowError(f"conversation {name!r}, utterance {turn}: {field} is a {kind}, expected: {what}")
        size += 1 if kind == "number" else len(item) * (4 if kind == "vector" else 1)
    return size


def _matrix(rows: Sequence[Any], name: str, modality: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            return np.asarray(rows, np.float32)
    except OverflowError as error:
        raise WorkflowError(f"conversation {name!r}: a {modality} value is beyond any float") from error


def _emotion(label: Any, layout: Layout, name: str) -> str:
    if label not in range(len(layout.emotions)):
        raise WorkflowError(f"conversation {name!r}: a label is none of {layout.name}'s {len(layout.emotions)}")
    return layout.emotions[int(label)]


def _speaker(who: Any) -> str | None:
    if isinstance(who, str):
        return _text(who)
    place = int(np.argmax(who))
    return f"speaker-{place}" if who[place] > 0 else None


def _text(text: str) -> str:
    """Replace halves of surrogate pairs, which a pickle can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
