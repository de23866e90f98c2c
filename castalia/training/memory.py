"""Memory that a step frees is kept for the next one."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc's allocator not to hand large blocks back to the kernel; elsewhere nothing happens.

    A training step allocates the same hundreds of megabytes as the one before. By default each block comes fresh from
    the kernel, which zeroes it page by page: 15 % of a step at width 128.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_TOP_PAD, 64 << 20)
