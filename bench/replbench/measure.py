"""One measured run of a peer."""

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field

from .namespace import wire_bytes
from .process import Failure, Sampler, cpu_seconds, forget_peak, read, stop_family

LIMIT_SECONDS = 3600


@dataclass
class Run:
    """What a peer does in one round. `service` is a daemon that goes on, `server` a command that serves this
    run only and is started before; the run is over when `command` and `server` have both ended."""

    command: list
    service: object = None
    server: object = None
    environment: dict = field(default_factory=dict)


@dataclass
class Figures:
    wall_seconds: float
    source_cpu_seconds: float
    target_cpu_seconds: float
    source_peak_bytes: int
    target_peak_bytes: int
    wire_bytes: int
    output: str
    reported_seconds: float = None
    settled_seconds: float = None

    def as_json(self):
        return {name: value for name, value in vars(self).items() if name != "output" and value is not None}


def measure(name, run, tools, folder):
    report = os.path.join(folder, "measured")
    if os.path.exists(report):
        os.remove(report)
    daemons = [daemon for daemon in (run.service, run.server) if daemon is not None]
    for daemon in daemons:
        forget_peak(daemon.pid)
    cpu_before = cpu_seconds(run.service.pid) if run.service else 0
    wire_before = wire_bytes()
    start = time.monotonic()
    client = subprocess.Popen(
        [tools.measured_run, report, *run.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **run.environment},
    )
    sampler = Sampler(
        [[client.pid], [daemon.pid for daemon in daemons]],
        without=[client.pid] + ([run.server.pid] if run.server else []),
    )
    sampler.start()
    # A wait with a deadline would look in steps of up to 50 ms.
    watchdog = threading.Timer(LIMIT_SECONDS, lambda: stop_family(client.pid))
    watchdog.start()
    output, errors = client.communicate()
    if run.server:
        if client.returncode != 0:
            stop_family(run.server.pid)
        run.server.process.wait()
    wall = time.monotonic() - start
    watchdog.cancel()
    peaks, cpu = sampler.stop()
    fields = read(report).split()
    if len(fields) != 4 or int(fields[0]) != 0:
        raise Failure(
            f"{name}: {' '.join(map(str, run.command))}: exit status {client.returncode}\n"
            + (output + errors)[-2000:]
        )
    settled = None
    if run.service:
        run.service.settle()
        settled = time.monotonic() - start
        target_cpu = max(cpu_seconds(run.service.pid), cpu[1]) - cpu_before
        target_peak = peaks[1]
    else:
        status, user, system, peak = read(run.server.report).split()
        if int(status) != 0:
            raise Failure(f"{name}: the receiving end: exit status {status}\n{read(run.server.log)[-2000:]}")
        target_cpu = float(user) + float(system)
        target_peak = max(peaks[1], int(peak) << 10)
    return Figures(
        wall_seconds=wall,
        source_cpu_seconds=float(fields[1]) + float(fields[2]),
        target_cpu_seconds=target_cpu,
        source_peak_bytes=max(peaks[0], int(fields[3]) << 10),
        target_peak_bytes=target_peak,
        wire_bytes=wire_bytes() - wire_before,
        output=output + errors,
        settled_seconds=settled,
    )
