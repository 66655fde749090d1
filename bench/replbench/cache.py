"""What is in memory before a run: files in the page cache, or not; memory that the host has given already."""

import ctypes
import mmap
import os

from .process import Failure

STEP = 4 << 20
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def data_ranges(descriptor):
    """The allocated ranges of a file."""
    size, offset = os.fstat(descriptor).st_size, 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:
            return
        offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, offset


def warm(path):
    """Reads all data of a file, so that it is in the page cache."""
    room = bytearray(STEP)
    with open(path, "rb", buffering=0) as file:
        for start, end in list(data_ranges(file.fileno())):
            for offset in range(start, end, STEP):
                if os.preadv(file.fileno(), [memoryview(room)[: min(STEP, end - offset)]], offset) == 0:
                    break


def cool(path):
    """Throws a file out of the page cache and proves it."""
    with open(path, "rb+", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    share = resident_share(path)
    if share > 0.01:
        raise Failure(f"{path}: {share:.0%} of it stays in the page cache; is it mapped by somebody?")


def resident_share(path):
    """The part of a file that is in the page cache."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise Failure(f"{path}: cannot be mapped: {os.strerror(ctypes.get_errno())}")
        pages = (size + PAGE - 1) // PAGE
        answer = ctypes.create_string_buffer(pages)
        failed = libc.mincore(address, size, answer) != 0
        libc.munmap(address, size)
        if failed:
            raise Failure(f"{path}: mincore: {os.strerror(ctypes.get_errno())}")
    return 1 - answer.raw[:pages].count(0) / pages


def take_free_memory(count):
    """Touches memory and gives it back. A virtual machine's host may have taken free memory away, and the
    first touch then costs two seconds a GiB: nobody's run shall pay for that."""
    child = os.fork()
    if child == 0:
        try:
            mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
