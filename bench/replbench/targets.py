"""What a pass is to reach, and whether it did."""

from dataclasses import dataclass
from statistics import median

MIB = 1 << 20
FULL_SIZE = 4 << 30
FULL_CORES = 2


@dataclass
class Verdict:
    subject: str
    target: str
    measured: str
    # None: not judged, `measured` says why.
    is_met: bool


def middle(figures, name):
    return median(getattr(figure, name) for figure in figures)


class Judge:
    def __init__(self, results, micro, machine):
        self.by_name = {result.workload.name: result for result in results}
        self.results = results
        self.micro = micro
        self.machine = machine
        self.verdicts = []

    def judge(self):
        self.at_most_seconds("nothing", 0.7)
        self.wire_at_most_bytes("nothing", 200_000)
        self.at_most_seconds("blocks-64k", 1.0)
        self.wire_at_most_sum("blocks-64k", 1.05)
        self.at_most_seconds("blocks-4k", 1.3)
        self.wire_at_most_sum("blocks-4k", 1.1)
        self.at_most_peer("first-copy", "nbdcopy", 1.25)
        self.wire_at_most_peer("first-copy", "nbdcopy", 1 / 3)
        self.holes_stay_holes("first-copy")
        self.at_most_peer("incompressible", "nbdcopy", 1.0)
        self.at_most_peer("cold", "reference", 1.2)
        self.memory_at_most(64 * MIB)
        self.scan_at_least(0.9)
        return self.verdicts

    def add(self, subject, target, measured, is_met):
        self.verdicts.append(Verdict(subject, target, measured, is_met))

    def ours(self, name):
        result = self.by_name.get(name)
        return result and result.figures.get("vmrepl")

    def title(self, name):
        return self.by_name[name].workload.title

    def at_most_seconds(self, name, seconds):
        if not (figures := self.ours(name)):
            return
        wall, target = middle(figures, "wall_seconds"), f"at most {seconds} s"
        if self.machine["size_bytes"] != FULL_SIZE or self.machine["cores"] != FULL_CORES:
            self.add(self.title(name), target, f"{wall:.2f} s; the target is for 4 GiB and two cores", None)
        else:
            self.add(self.title(name), target, f"{wall:.2f} s", wall <= seconds)

    def wire_at_most_bytes(self, name, count):
        if figures := self.ours(name):
            wire = middle(figures, "wire_bytes")
            self.add(
                self.title(name),
                f"at most {count / 1e6:.1f} MB on the wire",
                f"{wire / 1e6:.3f} MB",
                wire <= count,
            )

    def wire_at_most_sum(self, name, factor):
        if figures := self.ours(name):
            ratio = wire_ratio(self.by_name[name], figures)
            self.add(
                self.title(name),
                f"wire at most {factor} x zstd -1 of what changed",
                f"{ratio:.3f} x",
                ratio <= factor,
            )

    def pair(self, name, peer):
        result = self.by_name.get(name)
        if result and "vmrepl" in result.figures and peer in result.figures:
            return result.figures["vmrepl"], result.figures[peer]
        return None

    def at_most_peer(self, name, peer, factor):
        if pair := self.pair(name, peer):
            ours, theirs = (middle(figures, "wall_seconds") for figures in pair)
            self.add(
                self.title(name),
                f"at most {factor} x {peer}",
                f"{ours / theirs:.2f} x ({ours:.2f} s, {theirs:.2f} s)",
                ours <= factor * theirs,
            )

    def wire_at_most_peer(self, name, peer, factor):
        if pair := self.pair(name, peer):
            ours, theirs = (middle(figures, "wire_bytes") for figures in pair)
            packed = median(self.by_name[name].packed_bytes)
            self.add(
                self.title(name),
                f"at most a third of {peer}'s wire",
                f"{ours / theirs:.3f} x (zstd -1 of all data: {packed / theirs:.3f} x)",
                ours <= factor * theirs,
            )

    def holes_stay_holes(self, name):
        result = self.by_name.get(name)
        if result and "vmrepl" in result.allocated:
            ours, source = result.allocated["vmrepl"], result.allocated["source"]
            self.add(
                self.title(name),
                "holes and zeros take no space",
                f"{ours / MIB:.0f} MiB allocated, the source has {source / MIB:.0f} MiB",
                ours <= source * 1.01,
            )

    def memory_at_most(self, count):
        peaks = [
            (max(figure.source_peak_bytes, figure.target_peak_bytes), result.workload.title)
            for result in self.results
            for figure in result.figures.get("vmrepl", [])
        ]
        if peaks:
            peak, title = max(peaks)
            self.add(
                "Memory",
                f"at most {count // MIB} MiB a side",
                f"{peak / MIB:.0f} MiB ({title.lower()})",
                peak <= count,
            )

    def scan_at_least(self, ratio):
        scans = [row for row in self.micro or [] if row["name"].startswith("scan")]
        for row in scans:
            self.add(row["title"], f"at least {ratio} x C", f"{row['ratio']:.2f} x", row["ratio"] >= ratio)


def wire_ratio(result, figures):
    """What went over the wire, against what zstd -1 makes of that round's changes; the median."""
    packed = result.packed_bytes
    return median(
        figure.wire_bytes / packed[min(index, len(packed) - 1)] for index, figure in enumerate(figures)
    )
