"""Memory that a step of training or a batch of labelling frees, and the next asks for again."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # of mallopt(3)

# In the environment that a process is started with: glibc keeps what the main thread frees, while a thread of its own
# gets another arena, which gives back large blocks whatever mallopt says. With one arena there is no other.
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}


def keep_freed_memory(up_to: int | None = None) -> bool:
    """Have this process keep what it frees for its next step, where the C library is glibc; say whether it is.

    ``up_to``: blocks of more bytes are given back; absent: none is. In threads other than the main one it takes
    `ONE_ARENA` as well.

    Gradients and activations of a step are freed and needed again in the next. Given back to the system in between,
    every page of them has to be mapped and cleared anew, which is a fifth of a wide model's step, and a third of its
    labelling.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    large = mallopt(_MMAP_MAX, 0) if up_to is None else mallopt(_MMAP_THRESHOLD, up_to)
    return bool(large) and bool(mallopt(_TRIM_THRESHOLD, -1))
