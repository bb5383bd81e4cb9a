"""How a CSV file is written: its encoding, what stands between its fields, and how quotes within fields are escaped.

Found from the file itself, since spreadsheets and databases differ and nobody who exports knows how.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from tasks.errors import WorkflowError
from tasks.sources.base import SourceFile
from tasks.sources.tables.names import folded

LARGEST_FIELD = 2**24  # characters; an open quote would otherwise swallow the rest of the file
_DELIMITERS = ",;\t|"
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# Halves of surrogate pairs that no decoder makes stand for an escaped backslash and quote while fields are split.
_BACKSLASH, _QUOTE = "\ud800", "\ud801"
_ESCAPES = {"\\\\": _BACKSLASH, '\\"': _QUOTE, "\\\n": "\n", "\\\r\n": "\r\n"}
_ESCAPED = re.compile(r'\\(?:[\\"\n]|\r\n)')
_UNESCAPE = str.maketrans({_BACKSLASH: "\\", _QUOTE: '"'})

codecs.register_error("mark", lambda error: ("\udcff", getattr(error, "end", 0)))


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        backslashes: a quote within a field is written as ``\\"``, not doubled.
        heading: lines before the header, such as Excel's ``sep=;``.
    """

    encoding: str
    delimiter: str = ","
    backslashes: bool = False
    heading: int = 0


def encoding_of(file: SourceFile) -> str:
    """Tell the encoding by the byte order mark; without one it is UTF-8.

    Raises:
        WorkflowError: the file is UTF-16 without a byte order mark.
    """
    fs, path = file.filesystem
    with fs.open(path, "rb") as raw:
        start = raw.read(64)
    encoding = next((name for mark, name in _BOMS if start.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and len(start) >= 8 and (not any(start[1:8:2]) or not any(start[:8:2])):
        raise WorkflowError(
            f"{file.url}: looks like UTF-16 without a byte order mark\n  save it as UTF-8, or as UTF-16 with its mark"
        )
    return encoding


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8-sig" else "mark"


def decoded(content: bytes, encoding: str) -> str:
    """Decode as `open_text` does."""
    return content.decode(encoding, errors=_errors(encoding))


@contextmanager
def open_text(file: SourceFile, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a text file; what cannot be decoded becomes half a surrogate pair, and costs its row alone."""
    fs, path = file.filesystem
    with (
        fs.open(path, "rb") as raw,
        io.TextIOWrapper(raw, encoding=encoding, errors=_errors(encoding), newline="") as text,
    ):
        yield text


def records(file: SourceFile, dialect: Dialect) -> Iterator[list[str]]:
    """Split a file into the fields of its records, the header among them; a blank line is an empty record.

    Raises:
        WorkflowError: a quote is open where it may not be.
    """
    csv.field_size_limit(LARGEST_FIELD)
    with open_text(file, dialect.encoding) as text:
        lines: Iterator[str] = iter(text)
        if dialect.backslashes:
            lines = (_ESCAPED.sub(lambda match: _ESCAPES[match[0]], line) for line in lines)
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
        begins = 1
        try:
            for number, fields in enumerate(reader):
                begins = reader.line_num + 1
                if number >= dialect.heading:
                    yield [field.translate(_UNESCAPE) for field in fields] if dialect.backslashes else fields
        except csv.Error as error:
            raise WorkflowError(
                f"{file.url}: not readable as CSV at line {reader.line_num}: {error}\n"
                f"  its record begins at line {begins}: look there for a quote that opens and does not close\n"
                '  expected: quotes inside quoted fields doubled (""), or everywhere written as \\"'
            ) from error


def dialect_of(file: SourceFile, required: tuple[str, ...]) -> Dialect:
    """Tell how a file is written, by whether its header has the required columns and its quotes are consistent.

    Raises:
        WorkflowError: it can be read in no way.
    """
    encoding = encoding_of(file)
    with open_text(file, encoding) as text:
        first = text.readline(4096)
    if named := re.fullmatch(r"sep=(.)\r?\n?", first):
        dialect = Dialect(encoding, named[1], heading=1)
    else:
        candidates = (Dialect(encoding, delimiter) for delimiter in _DELIMITERS)
        dialect = next((one for one in candidates if _has(file, one, required)), Dialect(encoding))
    if not _has_escaped_quotes(file, encoding):
        return dialect
    escaped = Dialect(dialect.encoding, dialect.delimiter, True, dialect.heading)
    doubled_misfits, escaped_misfits = _misfits(file, dialect), _misfits(file, escaped)
    # Doubled is the rule. To take it for escaped would join rows, while the other way round they are rejected.
    fits_better = escaped_misfits < inf if doubled_misfits == inf else escaped_misfits == 0 < doubled_misfits
    return escaped if fits_better else dialect


def _has(file: SourceFile, dialect: Dialect, required: tuple[str, ...]) -> bool:
    try:
        return set(map(folded, required)) <= set(map(folded, header_of(file, dialect)))
    except WorkflowError:  # quotes that another delimiter stands between
        return False


def header_of(file: SourceFile, dialect: Dialect) -> list[str]:
    """Read the names in a file's first record; none where it has none. What cannot be decoded is written in ASCII."""
    names = (name.strip() for name in next(records(file, dialect), []))
    return [name.encode("utf-8", "backslashreplace").decode() for name in names]


def _has_escaped_quotes(file: SourceFile, encoding: str) -> bool:
    """Whether a backslash stands before a quote anywhere: then it may be how quotes are escaped."""
    written = '\\"'
    codes = ["utf-8"] if encoding == "utf-8-sig" else [f"{encoding}-{order}" for order in ("le", "be")]
    wanted = [written.encode(code) for code in codes]
    fs, path = file.filesystem
    with fs.open(path, "rb") as raw:
        last = b""
        while block := raw.read(2**22):
            if any(form in last + block for form in wanted):
                return True
            last = block[-8:]
    return False


def _misfits(file: SourceFile, dialect: Dialect) -> float:
    """How many records do not have the header's fields; infinite where they cannot be told apart."""
    rows = records(file, dialect)
    try:
        header = next(rows, [])
        last = last_named(header)
        return sum(bool(fields) and (len(fields) < last or any(map(str.strip, fields[last:]))) for fields in rows)
    except WorkflowError:
        return inf


def last_named(header: list[str]) -> int:
    """The number of the last column that has a name: spreadsheets write empty ones behind it."""
    return max((place for place, name in enumerate(header, start=1) if name.strip()), default=0)
