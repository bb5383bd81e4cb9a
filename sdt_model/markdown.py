"""Text from elsewhere, such as an emotion's or a file's name, on a page of Markdown: as it reads, and nothing more."""

import re

_MARKS = re.compile(r"[\\*\[\]|~]|(?<=http):(?=//)|(?<=https):(?=//)|(?<=ftp):(?=//)|(?<=www)\.", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w+;)")
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def escaped(text: str) -> str:
    """The text without any power: no HTML, link, picture, table or emphasis, and nothing that moves a cursor.

    What stands between backticks is code, as our own messages write it, and does nothing either.
    """
    plain = visible(re.sub(r"[\r\n\t]+", " ", text))
    return _MARKS.sub(r"\\\g<0>", _ENTITY.sub("&amp;", plain)).replace("<", "&lt;")


def visible(text: str) -> str:
    """The text with U+FFFD for what nobody sees, or what moves a terminal's cursor, colours it or sets its title."""
    return _INVISIBLE.sub("\ufffd", text)
