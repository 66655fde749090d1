"""The command line."""

import argparse
import os
import re

from .tools import ROOT

WORKLOADS = ["nothing", "blocks-64k", "blocks-4k", "cold", "first-copy", "incompressible"]
PEERS = [
    "vmrepl",
    "reference",
    "rsync",
    "rsync-z",
    "rsync-ssh",
    "rsync-ssh-z",
    "nbdcopy",
    "nbdcopy-flush",
    "pipe",
    "pipe-zstd",
]
UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 2**10,
    "MI": 2**20,
    "GI": 2**30,
    "TI": 2**40,
}


def size(text):
    match = re.fullmatch(r"(\d+)\s*([KMGT]?I?)B?", text.strip().upper())
    if not match:
        raise argparse.ArgumentTypeError(f"not a size: {text} (such as 4GiB or 512MiB)")
    count = int(match[1]) * UNITS[match[2]]
    if count % (1 << 20) or count < 64 << 20:
        raise argparse.ArgumentTypeError(f"{text}: whole MiB, at least 64MiB")
    return count


def names(allowed):
    def parse(text):
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        wrong = [name for name in chosen if name not in allowed]
        if wrong or not chosen:
            raise argparse.ArgumentTypeError(
                f"not known: {', '.join(wrong) or text!r}; one or more of {', '.join(allowed)}"
            )
        return [name for name in allowed if name in chosen]

    return parse


def positive(text):
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures whole replication passes against rsync, nbdcopy, plain pipes and a pass in C, "
        "and the loops within a pass against the same loops in C.",
        epilog="Needs a network namespace of its own, which counts the bytes on the wire (root always may), "
        "and about six times the size of the disk, as free space and, for a warm cache, as memory.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=110),
    )
    parser.add_argument(
        "--size", type=size, default=4 << 30, metavar="SIZE", help="of the disk (default: 4GiB)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=3, metavar="N", help="of which the median counts (default: 3)"
    )
    parser.add_argument(
        "--workloads",
        type=names(WORKLOADS),
        default=WORKLOADS,
        metavar="A,B",
        help=f"default: {','.join(WORKLOADS)}",
    )
    parser.add_argument(
        "--peers", type=names(PEERS), default=PEERS, metavar="A,B", help=f"default: {','.join(PEERS)}"
    )
    parser.add_argument("--micro", action="store_true", help="only the loops within a pass, no whole passes")
    parser.add_argument("--no-micro", action="store_true", help="only whole passes")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there as well")
    parser.add_argument(
        "--work",
        metavar="DIR",
        default=os.path.join(ROOT, "bench-data"),
        help="where images and copies are kept (default: bench-data beside Package.swift); what the "
        "benchmark made there is removed at the end, except the base image",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of everything random (default: 1)")
    options = parser.parse_args(arguments)
    if options.micro and options.no_micro:
        parser.error("--micro and --no-micro exclude each other")
    return options
