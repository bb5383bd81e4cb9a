"""Pickles of friends and of enemies; whatever an enemy's would run leaves a mark, and there must be none."""

import collections
import copyreg
import os
import pickle
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.pickles.unpickler import unpickle
from tests.fixtures.sources.pickles import Hostile


def read(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return unpickle(SourceFile(str(path), path.name, len(content)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "features.pkl"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_and_numeric_arrays_come_back(file: Path, protocol: int) -> None:
    arrays = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(12)[::3],
        "empty": np.zeros((0, 3)),
        "large": np.arange(5000.0),
        "flags": np.array([True, False]),
        "half": np.ones(2, np.float16),
    }
    lists = collections.defaultdict(list)
    lists["a"].append(("x", 1, None, True, 2.5, 10**30, {3}, frozenset({4}), b"", b"\x00\xff", "\u00fc"))
    ordered = collections.OrderedDict(one=1, two=np.float64(2.5), three=np.int32(3))
    again = read(file, pickle.dumps((arrays, lists, ordered), protocol=protocol))
    assert again[1:] == ({"a": lists["a"]}, {"one": 1, "two": 2.5, "three": 3})
    for name, expected in arrays.items():
        np.testing.assert_array_equal(again[0][name], expected, strict=True)


def test_what_python_2_wrote_as_text_comes_back(file: Path) -> None:
    raw = np.array([1.5, -2.0], "<f8").tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\n"
        b"tR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS" + repr(raw)[1:].encode() + b"\ntb"
    )
    words = b"U\x04caf\xe9"  # SHORT_BINSTRING
    binary = b"U" + bytes([len(raw)]) + raw
    again = read(file, b"(lp0\n" + array + b"a" + words + b"a" + binary + b"a.")
    assert again[0].tolist() == [1.5, -2.0] and again[1] == "caf\u00e9" and again[2].encode("latin1") == raw


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_refused_by_name_and_never_made(file: Path, protocol: int) -> None:
    mark = file.with_name("mark")
    calls = {
        "posix.system": Hostile(os.system, f"touch {mark}"),
        r"(builtins|__builtin__)\.eval": Hostile(eval, f"open({str(mark)!r}, 'w')"),
        r"(builtins|__builtin__)\.getattr": Hostile(getattr, "x", "upper"),
        r"(builtins|__builtin__)\.bytearray": Hostile(bytearray, 10**12),
        "pathlib.PosixPath": mark,
        r"numpy.dtype\('O8'\)": np.array([Hostile(os.system, f"touch {mark}")], dtype=object),
        r"numpy.dtype\('U1'\)": np.array(["a"]),
        r"numpy.dtype\('V8'\)": np.zeros(1, "f4,f4"),
        "byte order": np.zeros(1, ">f4"),
        r"(tests\.tasks\.sources\.pickles\.test_unpickler\.Plain|copy_reg\._reconstructor)": Plain(),
    }
    for name, value in calls.items():
        with pytest.raises(WorkflowError, match=rf"(?s)features\.pkl: refused, .*{name}.*nothing else of it was run"):
            read(file, pickle.dumps({"harmless": [1, value]}, protocol=protocol))
    assert not mark.exists()


class Plain:
    """An object of a class of its own."""


def unicode(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("os.system", b"cos\nsystem\n(S'touch mark'\ntR."),
        ("os.system", b"(S'touch mark'\nios\nsystem\n."),
        ("os.system", b"\x80\x04" + unicode("os") + unicode("system") + b"\x93" + unicode("touch mark") + b"\x85R."),
        ("numpy.load", b"cnumpy\nload\n."),
        ("numpy.core.multiarray.frombuffer", b"cnumpy.core.multiarray\nfrombuffer\n."),
        ("builtins.set.__init__", b"\x80\x04" + unicode("builtins") + unicode("set.__init__") + b"\x93."),
        ("copyreg._reconstructor", b"ccopyreg\n_reconstructor\n."),
        ("calls builtins.int", b"cbuiltins\nint\n(S'1'\ntR."),
        ("calls numpy.ndarray", b"cnumpy\nndarray\n(I1000000000000\ntR."),
        ("alters builtins.set", b"cbuiltins\nset\n}S'add'\nI1\nsb."),
        ("alters numpy.dtype", b"cnumpy\ndtype\nN}S'__call__'\nI1\ns\x86b."),
        ("alters numpy.core.multiarray.scalar", b"cnumpy.core.multiarray\nscalar\n}S'_do'\nI1\nsb."),
        ("_codecs.encode", b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR."),
    ],
)
def test_handmade_ones_too(file: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    monkeypatch.chdir(file.parent)
    with pytest.raises(WorkflowError, match=rf"refused, it (asks for|calls)? ?{name}"):
        read(file, content)
    assert not Path("mark").exists()


def test_the_extension_registry_is_refused_even_where_its_object_was_loaded_before(file: Path) -> None:
    copyreg.add_extension("posix", "system", 240)
    try:
        content = pickle.dumps(os.system, protocol=2)
        assert b"\x82\xf0" in content and pickle.loads(content) is os.system  # noqa: S301 - now it is in the cache
        with pytest.raises(WorkflowError, match="extension registry"):
            read(file, content)
    finally:
        copyreg.remove_extension("posix", "system", 240)
        copyreg.clear_extension_cache()  # type: ignore[attr-defined]


SHAPE = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(%b\ntS'b'\ntR"
STATE = b"(I1\n(I1000000000000\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nS'12345678'\ntb."


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("LONG_BINPUT", b"\x80\x02]r\xff\xff\xff\x7f."),
        ("PUT", b"]p2000000000\n."),
        ("BINBYTES8", b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."),
        ("BINUNICODE8", b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x."),
        ("BYTEARRAY8", b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x."),
        ("LONG4", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."),
        ("FRAME", b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"]."),
        ("shape", SHAPE % b"I1000000000000" + STATE),
        (
            "shape",
            b"cnumpy.core.numeric\n_frombuffer\n(\x8e\x01" + bytes(7) + b"xcnumpy\ndtype\n(S'u1'\ntR(I2\ntS'C'\ntR.",
        ),
    ],
)
def test_a_few_bytes_do_not_ask_for_the_machines_memory(file: Path, what: str, content: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WorkflowError, match=rf"refused, .*{what}"):
        read(file, content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_a_file_or_a_count_of_steps_beyond_measure_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkflowError, match="a pickle of at most"):
        unpickle(SourceFile(str(file), file.name, 2**40))
    monkeypatch.setattr("tasks.sources.pickles.unpickler._MOST_STEPS", 1000)
    with pytest.raises(WorkflowError, match="more than 1,000 steps"):
        read(file, pickle.dumps([[] for _ in range(1000)]))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n", pickle.dumps([1, 2, "three"])[:-4], b"\x80\x02K\x01P1\n."]
)
def test_what_is_no_whole_pickle_says_so(file: Path, content: bytes) -> None:
    with pytest.raises(WorkflowError, match=r"features\.pkl: not a whole pickle"):
        read(file, content)


GOOD = pickle.dumps(({"a": [np.arange(3.0), np.float32(1)]}, {1, 2}, collections.OrderedDict(x="y")), protocol=4)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_bytes_it_is_read_or_refused(file: Path, data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        read(file, bytes(content))
    except WorkflowError as error:
        assert str(file) in str(error)
