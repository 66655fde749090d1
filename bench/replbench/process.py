"""Running and measuring processes."""

import os
import signal
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.05


class Failure(Exception):
    """Ends the benchmark with a message."""


def run(command, **options):
    """Runs a command that must succeed; its standard output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        text = (done.stdout + done.stderr).strip()[-2000:]
        raise Failure(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{text}")
    return done.stdout


def wait_until(condition, what, seconds=60.0):
    """Asks again and again until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.005)


def is_listening(port):
    """Looks the port up instead of connecting, which would be a connection that the server sees."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == "0A":
                    return True
    return False


def read(path):
    """The text of a file in /proc; nothing when the process is gone."""
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def family(root):
    """A process and all its descendants."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            continue
        for thread in threads:
            waiting += [int(child) for child in read(f"/proc/{pid}/task/{thread}/children").split()]
    return found


def cpu_seconds(root):
    """User and system time of a process, its descendants, and those that have ended and were waited for."""
    total = 0
    for pid in family(root):
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields:
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def peak_bytes(pid):
    """The most memory that a process had resident since it began, or since `forget_peak`."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def forget_peak(root):
    for pid in family(root):
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")
        except (FileNotFoundError, ProcessLookupError):
            pass


def stop_family(root):
    for pid in family(root):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Sampler(threading.Thread):
    """Looks at processes that come and go: the sum over one side's processes of what each had resident at
    most, and the most processor time that each side had used."""

    def __init__(self, sides, without=()):
        super().__init__(daemon=True)
        self.sides = sides
        self.without = set(without)
        self.peaks = [{} for _ in sides]
        self.cpu = [0.0 for _ in sides]
        self.ended = threading.Event()

    def sample(self):
        for side, (roots, peaks) in enumerate(zip(self.sides, self.peaks)):
            # A process that nobody waits for takes its time with it.
            self.cpu[side] = max(self.cpu[side], sum(cpu_seconds(root) for root in roots))
            for root in roots:
                for pid in set(family(root)) - self.without:
                    peaks[pid] = max(peaks.get(pid, 0), peak_bytes(pid))

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.sample()

    def stop(self):
        self.sample()
        self.ended.set()
        self.join()
        return [sum(peaks.values()) for peaks in self.peaks], self.cpu


class Daemon:
    """A process in the background, which is ended with the benchmark."""

    running = []

    def __init__(self, name, command, log, port=None, **options):
        self.name = name
        self.log = log
        output = open(log, "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options
        )
        output.close()
        self.pid = self.process.pid
        Daemon.running.append(self)
        if port is not None:
            wait_until(lambda: self.check() and is_listening(port), f"{name}: listening on port {port}")

    def check(self):
        if self.process.poll() is not None:
            raise Failure(
                f"{self.name} ended with status {self.process.returncode}:\n{read(self.log)[-2000:]}"
            )
        return True

    def stop(self):
        if self in Daemon.running:
            Daemon.running.remove(self)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def settle(self, seconds=60.0):
        """Waits until the daemon and its children have used no processor for a third of a second."""
        deadline = time.monotonic() + seconds
        before, quiet_since = None, time.monotonic()
        while time.monotonic() - quiet_since < 0.35:
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} is still busy {seconds:.0f} s after its pass")
            self.check()
            now = cpu_seconds(self.pid)
            if before is None or now - before > 0.011:
                before, quiet_since = now, time.monotonic()
            time.sleep(0.05)

    @staticmethod
    def stop_all():
        for daemon in list(Daemon.running):
            daemon.stop()


class Server(Daemon):
    """The receiving end of one run only: started before it, and ended when it has everything."""

    def __init__(self, name, command, log, report, tools, port):
        self.report = report
        if os.path.exists(report):
            os.remove(report)
        super().__init__(name, [tools.measured_run, report, *command], log, port)
