"""A disk with real files on half of it, and what changes on it."""

import ctypes
import os
import random
import shutil

from .cache import data_ranges
from .process import Failure, run

PAGE = 4096
RUN_LIMIT = 1 << 20
ZERO_PAGE = bytes(PAGE)


def build(folder, size, seed):
    """The path of the image; made anew only when there is none of this size and seed."""
    image, stamp = os.path.join(folder, "base.img"), os.path.join(folder, "base.made")
    made = f"{size} {seed}\n"
    if os.path.exists(stamp) and open(stamp).read() == made:
        return image
    staging = os.path.join(folder, "staging")
    shutil.rmtree(staging, ignore_errors=True)
    if os.path.exists(stamp):
        os.remove(stamp)
    copy_files("/usr", staging, size // 2 - size // 64, seed)
    with open(image, "wb") as file:
        file.truncate(size)
    run(
        ["mkfs.ext4", "-q", "-F", "-d", staging, image],
        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
    )
    shutil.rmtree(staging)
    with open(stamp, "w") as file:
        file.write(made)
    return image


def copy_files(source, target, count, seed):
    """Copies files in random order until they are so many bytes. When there are not enough they come again,
    moved by some bytes, so that no page is like one before and all pack as before."""
    found = []
    for folder, _, names in os.walk(source):
        for name in names:
            path = os.path.join(folder, name)
            is_plain = os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.R_OK)
            # One file alone would say little of disks.
            if is_plain and 0 < os.path.getsize(path) <= count // 8:
                found.append(path)
    if not found:
        raise Failure(f"{source} has no files")
    found.sort()
    random.Random(seed).shuffle(found)
    copied, generation = 0, 0
    while copied < count:
        for index, path in enumerate(found):
            if copied >= count:
                break
            place = os.path.join(target, f"{generation}", f"{index // 1000}")
            os.makedirs(place, exist_ok=True)
            name = f"{index}-{os.path.basename(path)[:80]}"
            with open(path, "rb") as original, open(os.path.join(place, name), "wb") as copy:
                copy.write(b"again\n" * generation * 7)
                shutil.copyfileobj(original, copy, 1 << 20)
                copied += (copy.tell() + PAGE - 1) // PAGE * PAGE
        generation += 1


def make_random(path, size):
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def make_vm(folder, size):
    """The VMX and the disk's descriptor, and an empty disk; the path of the disk."""
    os.makedirs(folder)
    disk = os.path.join(folder, "bench-flat.vmdk")
    with open(disk, "wb") as file:
        file.truncate(size)
    with open(os.path.join(folder, "bench.vmdk"), "w") as file:
        file.write(
            "# Disk DescriptorFile\nversion=1\nCID=5e1f0001\nparentCID=ffffffff\n"
            'createType="monolithicFlat"\n\n'
            f'# Extent description\nRW {size // 512} FLAT "bench-flat.vmdk" 0\n\n'
            '# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = "19"\nddb.adapterType = "lsilogic"\n'
            f'ddb.geometry.cylinders = "{min(size // 512 // 255 // 63, 65535)}"\n'
            'ddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\n'
        )
    with open(os.path.join(folder, "bench.vmx"), "w") as file:
        file.write(
            '.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\ndisplayName = "bench"\n'
            'guestOS = "debian12-64"\nmemSize = "2048"\nnumvcpus = "2"\n'
            'uuid.bios = "56 4d 0b 1c 2d 3e 4f 50-61 72 83 94 a5 b6 c7 d8"\n'
            'scsi0.present = "TRUE"\nscsi0.virtualDev = "pvscsi"\nscsi0:0.present = "TRUE"\n'
            'scsi0:0.deviceType = "scsi-hardDisk"\nscsi0:0.fileName = "bench.vmdk"\n'
        )
    return disk


class PackedSum:
    """What zstd -1 makes of maximal runs, each at most 1 MiB: the least that a pass could send."""

    def __init__(self):
        self.zstd = ctypes.CDLL("libzstd.so.1")
        for name, arguments in (
            ("ZSTD_compressBound", [ctypes.c_size_t]),
            ("ZSTD_isError", [ctypes.c_size_t]),
            (
                "ZSTD_compress",
                [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int],
            ),
        ):
            function = getattr(self.zstd, name)
            function.restype, function.argtypes = ctypes.c_size_t, arguments
        self.room = ctypes.create_string_buffer(self.zstd.ZSTD_compressBound(RUN_LIMIT))
        self.packed_bytes = 0
        self.raw_bytes = 0

    def add(self, run_bytes):
        for start in range(0, len(run_bytes), RUN_LIMIT):
            piece = bytes(run_bytes[start : start + RUN_LIMIT])
            count = self.zstd.ZSTD_compress(self.room, len(self.room), piece, len(piece), 1)
            if self.zstd.ZSTD_isError(count):
                raise Failure("zstd cannot pack a run")
            self.packed_bytes += min(count, len(piece))
            self.raw_bytes += len(piece)


def packed_sum_of_data(path):
    """Over all pages of a disk that are not zero."""
    total, run_bytes = PackedSum(), bytearray()
    end_of_run = None
    with open(path, "rb") as file:
        for start, end in list(data_ranges(file.fileno())):
            for offset in range(start, end, RUN_LIMIT):
                chunk = os.pread(file.fileno(), min(RUN_LIMIT, end - offset), offset)
                for place in range(0, len(chunk), PAGE):
                    page = chunk[place : place + PAGE]
                    is_zero = page == ZERO_PAGE[: len(page)]
                    if run_bytes and (is_zero or end_of_run != offset + place):
                        total.add(run_bytes)
                        run_bytes = bytearray()
                    if not is_zero:
                        run_bytes += page
                        end_of_run = offset + place + len(page)
    total.add(run_bytes)
    return total


class Changes:
    """Writes of a guest: blocks at random places all over the disk, with bytes of other files."""

    def __init__(self, base, seed):
        self.base = open(base, "rb", buffering=0)
        self.size = os.fstat(self.base.fileno()).st_size
        self.ranges = list(data_ranges(self.base.fileno()))
        self.random = random.Random(f"changes {seed}")

    def content(self, count):
        """Bytes of the base image without a zero page."""
        while True:
            start, end = self.random.choices(
                self.ranges, weights=[end - start for start, end in self.ranges]
            )[0]
            if end - start < count:
                continue
            offset = self.random.randrange(start // PAGE, (end - count) // PAGE + 1) * PAGE
            bytes_read = os.pread(self.base.fileno(), count, offset)
            pages = (bytes_read[place : place + PAGE] for place in range(0, count, PAGE))
            if len(bytes_read) == count and all(page != ZERO_PAGE for page in pages):
                return bytes_read

    def apply(self, disk, block_bytes, share):
        """Changes that share of the disk's blocks; the sum over what really differs."""
        blocks = self.size // block_bytes
        chosen = self.random.sample(range(blocks), max(1, int(blocks * share)))
        changed = {}
        descriptor = os.open(disk, os.O_RDWR)
        try:
            for block in chosen:
                offset, new = block * block_bytes, self.content(block_bytes)
                old = os.pread(descriptor, block_bytes, offset)
                os.pwrite(descriptor, new, offset)
                for place in range(0, block_bytes, PAGE):
                    if old[place : place + PAGE] != new[place : place + PAGE]:
                        changed[(offset + place) // PAGE] = new[place : place + PAGE]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return self.packed_sum(changed)

    @staticmethod
    def packed_sum(changed):
        total, run_bytes, last = PackedSum(), bytearray(), None
        for page in sorted(changed):
            if last is not None and page != last + 1:
                total.add(run_bytes)
                run_bytes = bytearray()
            run_bytes += changed[page]
            last = page
        total.add(run_bytes)
        return total
