"""Workloads: what happens to the source, and every peer in turn."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

from . import image, peers
from .cache import cool, take_free_memory, warm
from .measure import measure
from .process import Failure


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    block_bytes: int = 0
    is_cold: bool = False
    is_first_copy: bool = False
    is_random: bool = False


WORKLOADS = [
    Workload("nothing", "Nothing changed"),
    Workload("blocks-64k", "1 % of 64 KiB blocks changed", block_bytes=64 << 10),
    Workload("blocks-4k", "1 % of 4 KiB blocks changed", block_bytes=4 << 10),
    Workload("cold", "Nothing changed, source not in the page cache", is_cold=True),
    Workload("first-copy", "First copy of a half-empty disk", is_first_copy=True),
    Workload("incompressible", "First copy of incompressible data", is_first_copy=True, is_random=True),
]
SHARE = 0.01


@dataclass
class Result:
    """The rounds of a workload: figures by peer, and what there was to send."""

    workload: Workload
    figures: dict = field(default_factory=dict)
    raw_bytes: list = field(default_factory=list)
    packed_bytes: list = field(default_factory=list)
    allocated: dict = field(default_factory=dict)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Session:
    def __init__(self, options, tools, work):
        self.options = options
        self.tools = tools
        self.work = work
        self.results = []

    def chosen(self, condition):
        return [
            workload
            for workload in WORKLOADS
            if workload.name in self.options.workloads and condition(workload)
        ]

    def run(self):
        say("building the image")
        base = image.build(self.work, self.options.size, self.options.seed)
        if self.chosen(lambda workload: not workload.is_first_copy):
            self.run_deltas(base)
        for workload in self.chosen(lambda workload: workload.is_first_copy):
            self.run_first_copies(workload, base)
        return self.results

    def folder(self, name):
        path = os.path.join(self.work, name)
        shutil.rmtree(path, ignore_errors=True)
        return path

    def source(self, base):
        """A VM with a copy of the image as its disk."""
        disk = image.make_vm(self.folder("source"), os.path.getsize(base))
        subprocess.run(["cp", "--sparse=always", base, disk], check=True)
        os.sync()
        return disk

    # What changed is sent by each peer to a copy of its own, which is then equal to the source again.

    def run_deltas(self, base):
        disk = self.source(base)
        changes = image.Changes(base, self.options.seed)
        names = [name for name in self.options.peers if name in peers.DELTA]
        copies = []
        for name in names:
            say(f"{name}: a copy to begin with")
            peer = peers.make(name, self.folder(f"peer-{name}"), self.tools, disk)
            peer.start()
            peer.adopt_base()
            copies.append(peer)
        for workload in self.chosen(lambda workload: not workload.is_first_copy):
            result = self.begin(workload)
            for index in range(self.options.rounds):
                total = changes.apply(disk, workload.block_bytes, SHARE) if workload.block_bytes else None
                result.raw_bytes.append(total.raw_bytes if total else 0)
                result.packed_bytes.append(total.packed_bytes if total else 0)
                turn = index % max(1, len(copies))
                for peer in copies[turn:] + copies[:turn]:
                    self.measure(result, peer, disk, index, memory=512 << 20)
                    if peer.name == "vmrepl" or index == self.options.rounds - 1:
                        self.compare(peer, disk)
        for peer in copies:
            peer.stop()
        shutil.rmtree(os.path.dirname(disk))

    # Each first copy begins with nothing.

    def run_first_copies(self, workload, base):
        if workload.is_random:
            disk = image.make_vm(self.folder("source"), self.options.size // 2)
            image.make_random(disk, self.options.size // 2)
            os.sync()
        else:
            disk = self.source(base)
        result = self.begin(workload)
        total = image.packed_sum_of_data(disk)
        result.raw_bytes.append(total.raw_bytes)
        result.packed_bytes.append(total.packed_bytes)
        names = self.options.peers
        for index in range(self.options.rounds):
            turn = index % len(names)
            for name in names[turn:] + names[:turn]:
                peer = peers.make(name, self.folder(f"peer-{name}"), self.tools, disk)
                peer.start()
                self.measure(
                    result, peer, disk, index, memory=total.raw_bytes + total.raw_bytes // 4 + (256 << 20)
                )
                if name == "vmrepl" or index == self.options.rounds - 1:
                    self.compare(peer, disk)
                result.allocated[name] = os.stat(peer.copy).st_blocks * 512
                peer.stop()
        result.allocated["source"] = os.stat(disk).st_blocks * 512
        shutil.rmtree(os.path.dirname(disk))

    def begin(self, workload):
        result = Result(workload)
        self.results.append(result)
        say(f"\n{workload.title}")
        return result

    def measure(self, result, peer, disk, index, memory):
        workload = result.workload
        # What others left unwritten is not this peer's to write.
        os.sync()
        take_free_memory(memory)
        run = peer.prepare(workload)
        if not workload.is_first_copy:
            warm(peer.copy)
        if workload.is_cold:
            cool(disk)
        else:
            warm(disk)
        figures = measure(peer.name, run, self.tools, self.work)
        peer.conclude(figures)
        result.figures.setdefault(peer.name, []).append(figures)
        if run.server:
            run.server.stop()
        say(
            f"  round {index + 1} {peer.name:14} {figures.wall_seconds:7.3f} s"
            f"  cpu {figures.source_cpu_seconds:6.2f} + {figures.target_cpu_seconds:6.2f} s"
            f"  peak {figures.source_peak_bytes / 2**20:5.0f} + {figures.target_peak_bytes / 2**20:5.0f} MiB"
            f"  wire {figures.wire_bytes / 1e6:9.3f} MB"
        )

    def compare(self, peer, disk):
        """An independent judge: every byte of the copy."""
        found = subprocess.run(["cmp", peer.copy, disk], capture_output=True, text=True)
        if found.returncode != 0:
            raise Failure(
                f"{peer.name}: the copy differs from the source: {(found.stdout + found.stderr).strip()}"
            )
