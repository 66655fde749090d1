"""The tables, in Markdown and JSON."""

from statistics import median

from .targets import middle, wire_ratio

MIB = 1 << 20
TITLES = {
    "vmrepl": "**vmrepl**",
    "reference": "reference pass in C",
    "rsync": "rsync, daemon",
    "rsync-z": "rsync -z, daemon",
    "rsync-ssh": "rsync, ssh",
    "rsync-ssh-z": "rsync -z, ssh",
    "nbdcopy": "nbdcopy, TLS",
    "nbdcopy-flush": "nbdcopy --flush, TLS",
    "pipe": "cat, TLS pipe",
    "pipe-zstd": "zstd -1, TLS pipe",
}
SYNCS = {"vmrepl", "reference", "nbdcopy-flush", "pipe", "pipe-zstd"}


def as_json(machine, results, micro, verdicts):
    return {
        "machine": machine,
        "workloads": [
            {
                "name": result.workload.name,
                "title": result.workload.title,
                "changed_bytes": result.raw_bytes,
                "zstd_of_changed_runs_bytes": result.packed_bytes,
                "allocated_bytes": result.allocated,
                "rounds": {
                    name: [figure.as_json() for figure in figures] for name, figures in result.figures.items()
                },
            }
            for result in results
        ],
        "micro": micro,
        "targets": [vars(verdict) for verdict in verdicts],
    }


def as_markdown(machine, results, micro, verdicts):
    parts = ["# Benchmark results", introduction(machine)]
    if verdicts:
        parts += ["## Targets", targets(verdicts)]
    results = [result for result in results if result.figures]
    if results:
        parts += ["## Whole passes", LEGEND]
        parts += [text for result in results for text in (f"### {result.workload.title}", passes(result))]
    if micro:
        parts += ["## Loops within a pass, beside C", loops(micro)]
    return "\n\n".join(parts) + "\n"


LEGEND = """\
Medians of interleaved rounds, processes included; every peer had the same source. CPU: user and system
time of all processes of a side. Peak: resident memory of a side. Wire: bytes on the loopback interface,
both directions, TCP/IP headers included; in brackets against what `zstd -1` makes of the maximal changed
runs. Peers marked * do not sync what they wrote."""


def introduction(machine):
    size = machine["size_bytes"] / (1 << 30)
    lines = [
        f"Written by `scripts/bench` on {machine['date']}, revision {machine['revision'] or 'unknown'}; "
        f"{size:g} GiB, rounds: {machine['rounds']}, seed {machine['seed']}.",
        "",
        f"* {machine['cpu']}, {machine['cores']} cores ({', '.join(machine['cpu_flags'])}), "
        f"{machine['memory_bytes'] / (1 << 30):.0f} GiB of memory; load before: {machine['load_before']:.2f}",
        f"* {machine['kernel']}, {machine['distribution']}; {machine['filesystem']}",
        "* " + "; ".join(f"{name}: {version}" for name, version in machine["versions"].items() if version),
    ]
    return "\n".join(lines)


def table(head, rows):
    align = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, align, *rows])


def passes(result):
    raw, packed = median(result.raw_bytes), median(result.packed_bytes)
    rows = [row(result, name, figures) for name, figures in result.figures.items()]
    head = [
        "",
        "wall s",
        "(least-most)",
        "CPU source s",
        "CPU target s",
        "peak source MiB",
        "peak target MiB",
        "wire MB",
    ]
    text = table(head, rows)
    if raw:
        text = f"To send: {raw / 1e6:.1f} MB; `zstd -1` makes {packed / 1e6:.2f} MB of it.\n\n" + text
    ours = [figure for figure in result.figures.get("vmrepl", []) if figure.reported_seconds is not None]
    if ours:
        text += f"\n\nvmrepl's own duration of the pass: {middle(ours, 'reported_seconds'):.3f} s"
        text += f"; receiver at rest after {middle(ours, 'settled_seconds'):.2f} s."
    return text


def row(result, name, figures):
    walls = [figure.wall_seconds for figure in figures]
    wire = f"{middle(figures, 'wire_bytes') / 1e6:.2f}"
    if any(result.packed_bytes):
        wire += f" ({wire_ratio(result, figures):.3f})"
    mark = "" if name in SYNCS else " *"
    return [
        TITLES[name] + mark,
        f"{median(walls):.2f}",
        f"{min(walls):.2f}-{max(walls):.2f}",
        f"{middle(figures, 'source_cpu_seconds'):.2f}",
        f"{middle(figures, 'target_cpu_seconds'):.2f}",
        f"{middle(figures, 'source_peak_bytes') / MIB:.0f}",
        f"{middle(figures, 'target_peak_bytes') / MIB:.0f}",
        wire,
    ]


def loops(micro):
    rows = [
        [line["title"], figure(line["swift"]), figure(line["c"]), f"{line['ratio']:.2f}", line["unit"]]
        for line in micro
    ]
    return table(["", "Swift", "C", "Swift / C", "unit"], rows) + "\n\nMore is better in every row."


def figure(value):
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def targets(verdicts):
    words = {True: "met", False: "**not met**", None: "not judged"}
    rows = [
        [verdict.subject, verdict.target, verdict.measured, words[verdict.is_met]] for verdict in verdicts
    ]
    return table(["", "target", "measured", ""], rows)
