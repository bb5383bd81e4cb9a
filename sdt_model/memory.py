"""Memory that a step of training or a batch of labelling frees, and the next asks for again."""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)

# In the environment that a process is started with: glibc keeps what the main thread frees, while a thread of its own
# gets another arena, which gives back large blocks whatever mallopt says. With one arena there is no other.
ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}


def keep_freed_memory() -> bool:
    """Have this process keep what it frees for its next step, where the C library is glibc; say whether it is.

    In threads other than the main one it takes `ONE_ARENA` as well.

    Gradients and activations of a step are freed and needed again in the next. Given back to the system in between,
    every page of them has to be mapped and cleared anew, which is a fifth of a wide model's step, and a sixth of its
    labelling.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
