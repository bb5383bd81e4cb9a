from typing import Any

import numpy as np
import pytest

from tasks.errors import WorkflowError
from tasks.sources.pickles.published import IEMOCAP, LAYOUTS, MELD, published
from tests.fixtures.sources import pickles as made_pickles
from tests.fixtures.sources.pickles import DIMS, PLACES, fields, made

SIZE = 2**20


def test_every_published_tuple_has_its_test() -> None:
    assert {layout.name: len(layout.fields) for layout in LAYOUTS} == {k: len(v.split()) for k, v in PLACES.items()}


@pytest.mark.parametrize("name", PLACES)
def test_each_is_known_by_what_it_holds(name: str) -> None:
    found, expected = published(made(name), SIZE), fields(name)
    assert found.layout.name == name and found.dims == {m: DIMS[m] for m in DIMS if m in found.layout.fields}
    emotions = MELD if name.endswith("MELD") else IEMOCAP
    conversations = list(found.conversations())
    assert [c.id for c in conversations] == [str(key) for key in expected["labels"]]
    for key, conversation in zip(expected["labels"], conversations, strict=True):
        assert conversation.emotions == [emotions[label] for label in expected["labels"][key]]
        assert conversation.texts == expected["sentences"][key]
        given = next(split for split in ("test", "dev", "train") if key in expected[split])
        assert conversation.split == (given if given in PLACES[name] else "train")
        who = ["speaker-0", "speaker-1", "speaker-2"] if name.endswith("MELD") else ["M", "F"]
        assert conversation.speakers == [who[turn % len(who)] for turn in range(len(conversation.texts))]


@pytest.mark.parametrize("name", PLACES)
def test_text_is_one_layer_or_the_mean_of_four_as_its_authors_take_it(name: str) -> None:
    found, expected = published(made(name), SIZE), fields(name)
    layers = 4 if name.startswith("COSMIC") else 1
    for conversation, key in found.keys.items():
        vectors = found.vectors(conversation)
        mean = np.mean([expected[f"text{layer}"][key] for layer in range(1, 1 + layers)], axis=0)
        np.testing.assert_allclose(vectors["text"], mean, rtol=1e-6)
        for modality in set(found.dims) - {"text"}:
            np.testing.assert_array_equal(vectors[modality], expected[modality][key])
        assert all(v.dtype == np.float32 for v in vectors.values())


def test_lists_and_matrices_are_vectors_too() -> None:
    name = "MMGCN on MELD"
    plain = fields(name)
    lists = {key: [row.tolist() for row in rows] for key, rows in plain["text1"].items()}
    matrices = {key: np.array(rows, np.float64) for key, rows in plain["audio"].items()}
    labels = {key: np.array(found) for key, found in plain["labels"].items()}
    found = published(made(name, text1=lists, audio=matrices, labels=labels), SIZE)
    for conversation, key in found.keys.items():
        np.testing.assert_array_equal(found.vectors(conversation)["text"], np.array(plain["text1"][key]))
        np.testing.assert_array_equal(found.vectors(conversation)["audio"], np.array(plain["audio"][key]))


def test_what_is_in_no_split_is_left_out_of_training_and_who_is_unknown_has_no_name() -> None:
    name = "MMGCN on MELD"
    nobody = {key: [[0] * 9 for _ in rows] for key, rows in fields(name)["labels"].items()}
    found = published(made(name, train=[0, 1], speakers=nobody), SIZE)
    splits = {c.id: c.split for c in found.conversations()}
    assert splits["0"] == "train" and splits["5"] == "unused" and splits["11"] == "test"
    assert {who for c in found.conversations() for who in c.speakers} == {None}


@pytest.mark.parametrize("content", [None, {}, [], (1, 2, 3), ({},) * 12, made("SDT on MELD")[1:], {"a": 1}])
def test_anything_else_says_what_is_known(content: Any) -> None:
    with pytest.raises(
        WorkflowError, match=r"(?s)fits no published layout\n  found: \d+ fields.*SDT on MELD: - speakers"
    ):
        published(content, SIZE)


def changed(field: str, key: Any, value: Any, name: str = "SDT on IEMOCAP") -> tuple[Any, ...]:
    found = dict(fields(name)[field])
    found[key] = value
    return made(name, **{field: found})


KEY = "Ses01F_impro05"
TURNS = len(fields("SDT on IEMOCAP")["labels"][KEY])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (changed("labels", KEY, [6] * TURNS), rf"'{KEY}': a label is none of SDT on IEMOCAP's 6"),
        (changed("labels", KEY, [0.5] * TURNS), "a label is none of"),
        (changed("labels", "extra", [1, 2]), "'extra': speakers is missing or of another length"),
        (changed("audio", KEY, [[1.0] * 6] * (TURNS + 1)), rf"'{KEY}': audio is missing or of another length"),
        (changed("audio", KEY, [[1.0] * 7] * TURNS), r"utterance 0: audio is a vector, expected: vector of 6"),
        (changed("audio", KEY, [[1.0] * 5 + ["x"]] * TURNS), "utterance 0: audio is a list, expected: vector of 6"),
        (changed("sentences", KEY, [None] * TURNS), "sentences is a NoneType, expected: text"),
        (changed("labels", (1, 2), [1, 2]), "distinct names, and one is called tuple"),
        (changed("labels", f"{KEY} ", [1, 2]), f"distinct names, and one is called '{KEY}'"),
        (changed("labels", "\ud800", [1, 2]), "distinct names"),
    ],
)
def test_fields_that_do_not_fit_each_other_say_where(content: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(WorkflowError, match=complaint):
        conversations = published(content, SIZE).conversations()
        list(conversations)


def test_a_number_beyond_any_float_is_refused_and_half_a_character_is_replaced() -> None:
    huge = published(changed("audio", KEY, [[10**400] * 6] * TURNS), SIZE)
    with pytest.raises(WorkflowError, match=f"'{KEY}': a audio value is beyond any float"):
        huge.vectors(KEY)
    broken = published(changed("sentences", KEY, ["a\ud800b"] * TURNS), SIZE)
    assert {text for c in broken.conversations() if c.id == KEY for text in c.texts} == {"a?b"}


@pytest.mark.long
def test_the_same_object_everywhere_does_not_unpack_to_the_machines_memory() -> None:
    turns = 1000
    row, text = [1.0] * 6000, "x" * 10_000
    speakers, labels, sentences = ({k: [v] * turns for k in range(50)} for v in ("M", 1, text))
    vectors = {k: [row] * turns for k in range(50)}
    content = (None, speakers, labels, vectors, vectors, vectors, sentences, [0, 1], [2])
    with pytest.raises(WorkflowError, match="unpacks to more than 16 times its 80,000 bytes"):
        published(content, 80_000)
    nested: list[Any] = [1.0]
    for _ in range(60):  # two to the power of sixty numbers, were they ever counted
        nested = [nested, nested]
    with pytest.raises(WorkflowError, match="audio is a list, expected"):
        published(changed("audio", KEY, [nested] * TURNS), SIZE)
    with pytest.raises(WorkflowError, match="fits no published layout"):
        published(made_pickles.made("MMGCN on IEMOCAP", text1={KEY: nested}), SIZE)


@pytest.mark.parametrize(
    "content",
    [
        ({"a": ["M", "F"]}, {"a": [0, 1]}, {"a": ["hi", "ho"]}, ["a"], []),
        ({"a": [[1, 0, 0], [0, 1, 0]]}, {"a": ["hi", "ho"]}),
        [[{"text": "hi", "speaker": "A", "label": "joy"}]],
        {"train": [{"text": "hi", "labels": [0, 1]}]},
    ],
)
def test_a_pickle_of_text_alone_says_how_to_bring_it_in(content: object) -> None:
    with pytest.raises(WorkflowError, match=r"(?s)holds text and no features.*json\.dump.*sdt ingest table x\.json"):
        published(content, 100)


@pytest.mark.parametrize("content", [({"a": [np.zeros(3)]}, {"a": ["hi"]}), ([0.5] * 300, "hi"), {"a": 1}, None])
def test_a_pickle_of_something_else_names_the_known_layouts(content: object) -> None:
    with pytest.raises(WorkflowError, match="fits no published layout"):
        published(content, 100)
