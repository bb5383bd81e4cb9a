import pytest

from tasks.ingest.scan import scan_groups
from tasks.sources.base import SourceFile


@pytest.mark.parametrize(("files", "size"), [(5, 2**10), (3_000, 40 * 2**20), (100_000, 2**10)])
def test_a_large_source_is_scanned_in_a_bounded_number_of_parts(files: int, size: int) -> None:
    found = scan_groups([SourceFile(f"{i}", f"{i}", size) for i in range(files)])
    assert [place for group in found for place, _ in group] == list(range(files))
    assert len(found) <= 2 * 256 and (files > 5 or len(found) == 1)
