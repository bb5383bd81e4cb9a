"""What a process frees it keeps: the pages of a large block are not asked for again."""

import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
from sdt_model.ops.malloc import keep_freed_memory
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit("no glibc")
if sys.argv[1] == "keep":
    keep_freed_memory()
if sys.argv[1].isdigit():
    keep_freed_memory(up_to=int(sys.argv[1]))
for number in range(30):
    if number == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(2**26)  # 64 MiB, as a tensor's: glibc maps and unmaps blocks of more than 32
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True)
    if "no glibc" in done.stderr:
        pytest.skip("the C library is not glibc")
    return int(done.stdout)


@pytest.mark.long
def test_freed_memory_is_used_again() -> None:
    pages = 10 * 2**26 // 4096
    assert faults("keep") < 0.01 * pages < 0.5 * pages < faults("give back")


@pytest.mark.long
def test_blocks_of_more_than_a_size_are_given_back() -> None:
    pages = 10 * 2**26 // 4096
    assert faults(str(2**27)) < 0.01 * pages < 0.5 * pages < faults(str(2**25))
