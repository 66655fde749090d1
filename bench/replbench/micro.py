"""The loops within a pass, each beside the same loop in C: bench/ReplBench and bench/micro.c."""

import os
import shutil
from statistics import median

from . import image, tools
from .cache import warm
from .process import run

LOOPS = {
    "zero": "zero test, 4 KiB, in cache",
    "digest-4k": "digest, 4 KiB pages, in cache",
    "digest-64k": "digest, 64 KiB pages, in cache",
    "zstd-pack": "zstd -1, 512 KiB at a time",
    "zstd-unpack": "zstd, unpacking",
    "zlib-pack": "zlib -1, 512 KiB at a time",
    "zlib-unpack": "zlib, unpacking",
    "tls": "frames of 512 KiB over TLS, loopback",
    "journal": "journal records of 512 KiB",
    "journal-sync": "journal records of 512 KiB, synced",
    "scan": "scan of an unchanged disk, 4 KiB pages",
}
DATA_BYTES = 64 << 20
CHUNK_BYTES = 256 << 10


def build(work):
    """The two programs."""
    command = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--package-path", tools.ROOT]
    # Where the executables are built, so that nothing is compiled twice.
    command += ["--scratch-path", os.path.join(tools.ROOT, ".build-release")]
    run([*command, "--product", "ReplBench"])
    swift = os.path.join(run([*command, "--show-bin-path"]).strip().splitlines()[-1], "ReplBench")
    c = os.path.join(work, "micro")
    tools.compile_c("micro.c", c, "-lssl", "-lcrypto", "-lzstd", "-lz", "-pthread")
    return {"swift": swift, "c": c}


def measure(options, work, say):
    """One row a loop: the medians of both, and the median of the ratios of neighbouring runs."""
    programs = build(work)
    disk = image.build(work, options.size, options.seed)
    data, folder = os.path.join(work, "micro-data"), os.path.join(work, "micro-folder")
    changes = image.Changes(disk, options.seed)
    with open(data, "wb") as file:
        for _ in range(DATA_BYTES // CHUNK_BYTES):
            file.write(changes.content(CHUNK_BYTES))
    # Short runs: more of them than of whole passes.
    rounds = 2 * options.rounds + 1
    rows = []
    for name, title in LOOPS.items():
        warm(disk)
        figures = {"swift": [], "c": []}
        for index in range(rounds):
            order = ["swift", "c"] if index % 2 == 0 else ["c", "swift"]
            for language in order:
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder, mode=0o700)
                figures[language].append(float(run([programs[language], name, data, disk, folder])))
        ratio = median(swift / c for swift, c in zip(figures["swift"], figures["c"]))
        row = {
            "name": name,
            "title": title,
            "unit": "GB/s",
            "swift": median(figures["swift"]),
            "c": median(figures["c"]),
            "ratio": ratio,
            "rounds": figures,
        }
        rows.append(row)
        say(f"  {title:40} Swift {row['swift']:8.3f}  C {row['c']:8.3f} GB/s  {ratio:.2f} x")
    return rows
