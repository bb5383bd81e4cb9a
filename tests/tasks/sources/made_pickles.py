"""Tuples of the structure that SDT, MMGCN and COSMIC publish, with made-up content."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

DIMS = {"text": 12, "audio": 6, "visual": 5}
PLACES = {
    "SDT on MELD": "ids speakers labels text1 text2 text3 text4 audio visual sentences train test rest",
    "SDT on IEMOCAP": "ids speakers labels text1 text2 text3 text4 audio visual sentences train test",
    "MMGCN on MELD": "ids speakers labels text1 audio visual sentences train test rest",
    "MMGCN on IEMOCAP": "ids speakers labels text1 audio visual sentences train test",
    "DialogueRNN on MELD": "ids speakers labels text1 audio sentences train test rest",
    "COSMIC on MELD": "speakers labels rest text1 text2 text3 text4 sentences train test dev",
    "COSMIC on IEMOCAP": "speakers labels text1 text2 text3 text4 sentences train test dev",
}


def fields(dataset: str, conversations: int = 12, seed: int = 0) -> dict[str, Any]:
    """Every field that some tuple has; each modality's vectors follow the emotion."""
    chance = np.random.default_rng(seed)
    meld = dataset.endswith("MELD")
    keys = [i if meld else f"Ses0{1 + i % 5}F_impro{i:02d}" for i in range(conversations)]
    turns = {key: int(chance.integers(2, 7)) for key in keys}
    labels = {key: [int(n) for n in chance.integers(0, 7 if meld else 6, turns[key])] for key in keys}
    found: dict[str, Any] = {
        "ids": {key: [f"{key}_{turn}" for turn in range(turns[key])] for key in keys},
        "labels": labels,
        "rest": {key: [0] * turns[key] for key in keys},
        "sentences": {key: [f"sentence {turn} of {key}" for turn in range(turns[key])] for key in keys},
        "train": keys[: conversations // 2],
        "dev": keys[conversations // 2 : 3 * conversations // 4],
        "test": set(keys[3 * conversations // 4 :]),
    }
    one_hot = np.eye(9, dtype=int).tolist()
    found["speakers"] = {k: [one_hot[t % 3] if meld else "MF"[t % 2] for t in range(turns[k])] for k in keys}
    if "dev" not in PLACES[dataset].split():
        found["train"] += found["dev"]
    dims = {**{f"text{n}": DIMS["text"] for n in range(1, 5)}, "audio": DIMS["audio"], "visual": DIMS["visual"]}
    for place, (name, dim) in enumerate(dims.items()):
        centres = np.random.default_rng(100 + place).standard_normal((7, dim))
        found[name] = {
            key: [(centres[label] + chance.standard_normal(dim)).astype(np.float32) for label in labels[key]]
            for key in keys
        }
    return found


def made(dataset: str, **changed: Any) -> tuple[Any, ...]:
    """A whole tuple; ``changed``: fields that are otherwise."""
    found = fields(dataset) | changed
    return tuple(found[name] for name in PLACES[dataset].split())


def write(path: Path, dataset: str, **changed: Any) -> Path:
    """The file of such a tuple."""
    path.write_bytes(pickle.dumps(made(dataset, **changed), protocol=2))
    return path
