import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdt_model.markdown import escaped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("joy", "joy"),
        ("calls-2026_03 (day 1), 50%: a/b.wav", "calls-2026_03 (day 1), 50%: a/b.wav"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("&lt;b&gt; R&B &#60;", "&amp;lt;b&amp;gt; R&B &amp;#60;"),
        ("![x](http://e.vil/p.png)", r"!\[x\](http\://e.vil/p.png)"),
        ("see https://e.vil or HTTP://e.vil or www.e.vil", r"see https\://e.vil or HTTP\://e.vil or www\.e.vil"),
        ("a|b\n| c", r"a\|b \| c"),
        ("`code` *bold* ~~gone~~", r"`code` \*bold\* \~\~gone\~\~"),
        ("\\<b", r"\\&lt;b"),
        ("\x1b[2Jgone\x07 \u202egnp.exe", "\ufffd\\[2Jgone\ufffd \ufffdgnp.exe"),
    ],
)
def test_it_reads_as_it_is_and_does_nothing(text: str, expected: str) -> None:
    assert escaped(text) == expected


@settings(max_examples=200)
@given(st.text(st.sampled_from("<>&;#[]()!`*|\\~:/wht.ps \n\x1b"), max_size=20))
def test_nothing_of_power_is_left(text: str) -> None:
    import re

    out = escaped(text)
    assert "<" not in out and "\n" not in out and "\x1b" not in out
    assert not re.search(r"(?<!\\)(\\\\)*[*\[\]|~]", out)
    assert not re.search(r"(https?|ftp)://|www\.", out)
