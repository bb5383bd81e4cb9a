import pytest

from benchmarks.store_requests import kind


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/scale?list-type=2&prefix=a%2F&delimiter=", "LIST"),
        ("GET", "/scale/a/part-00000.parquet", "GET"),
        ("HEAD", "/scale/a/part-00000.parquet", "HEAD"),
        ("PUT", "/scale/a/part-00000.parquet?partNumber=1&uploadId=x", "PUT"),
        ("POST", "/scale/a/part-00000.parquet?uploads", "PUT"),
        ("POST", "/scale?delete", "DELETE"),
    ],
)
def test_a_request_is_counted_as_what_it_asks_for(method: str, path: str, expected: str) -> None:
    assert kind(method, path) == expected
