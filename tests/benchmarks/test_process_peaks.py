import pytest

from benchmarks.process_peaks import run_measured


@pytest.mark.long
def test_the_largest_memory_of_a_process_and_what_it_said_last() -> None:
    code = (
        "import time; x = b'x' * {} * 2**20; x = None; time.sleep(1); print('so'); print('[1]')"  # looked at meanwhile
    )
    small, large = (run_measured(code.format(n)) for n in (1, 200))
    assert small.result == [1] and small.workers_mib == []
    assert 190 < large.driver_mib - small.driver_mib < 210


def test_a_command_that_fails_is_named_with_its_error() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)exit code 1.*no such luck"):
        run_measured("raise ValueError('no such luck')")
