"""What it was measured on."""

import datetime
import os
import subprocess

FLAGS = ["aes", "vaes", "vpclmulqdq", "sha_ni", "avx2", "avx512f", "asimd", "sha2", "pmull"]


def describe(work, seed, rounds, size):
    cpu, flags = processor()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu,
        "cpu_flags": [flag for flag in FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "distribution": distribution(),
        "filesystem": first_line(["findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", work]),
        "load_before": os.getloadavg()[0],
        "versions": {
            "openssl": first_line(["openssl", "version"]),
            "zstd": first_line(["dpkg-query", "-W", "-f", "${Version}\n", "libzstd1"]),
            "rsync": first_line(["rsync", "--version"]),
            "nbdcopy": first_line(["nbdcopy", "--version"]),
            "nbdkit": first_line(["nbdkit", "--version"]),
            "ssh": first_line(["ssh", "-V"]),
            "socat": first_line(["dpkg-query", "-W", "-f", "${Version}\n", "socat"]),
            "gcc": first_line(["gcc", "--version"]),
            "swift": first_line(["swift", "--version"]),
        },
        "revision": first_line(["git", "-C", os.path.dirname(__file__), "describe", "--always", "--dirty"]),
        "seed": seed,
        "rounds": rounds,
        "size_bytes": size,
    }


def processor():
    model, flags = "unknown", set()
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                flags = set(value.split())
                break
    return model, flags


def distribution():
    try:
        with open("/etc/os-release") as lines:
            for line in lines:
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip().strip('"')
    except FileNotFoundError:
        pass
    return "unknown"


def first_line(command):
    """Nothing when the program is not there."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return " ".join(lines[0].split()) if lines and done.returncode == 0 else ""
