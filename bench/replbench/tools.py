"""Everything that is installed and built before anything is measured."""

import os
from dataclasses import dataclass

from .process import Failure, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(ROOT, "bench")

# Of Debian, by peer; and what every run needs.
PACKAGES = {
    None: [
        "libssl-dev",
        "zlib1g-dev",
        "libzstd-dev",
        "libzstd1",
        "e2fsprogs",
        "openssl",
        "gcc",
        "libc6-dev",
        "diffutils",
    ],
    "rsync": ["rsync"],
    "rsync-z": ["rsync"],
    "rsync-ssh": ["rsync", "openssh-server", "openssh-client"],
    "rsync-ssh-z": ["rsync", "openssh-server", "openssh-client"],
    "nbdcopy": ["nbdkit", "libnbd-bin"],
    "nbdcopy-flush": ["nbdkit", "libnbd-bin"],
    "pipe": ["socat"],
    "pipe-zstd": ["socat", "zstd"],
}


@dataclass
class Tools:
    sender: str
    receiver: str
    measured_run: str
    reference_pass: str
    certificates: str
    last_port: int = 20000

    @property
    def certificate(self):
        return os.path.join(self.certificates, "server-cert.pem")

    @property
    def key(self):
        return os.path.join(self.certificates, "server-key.pem")

    def free_port(self):
        """The namespace is ours alone: every port is free until it was given out."""
        self.last_port += 1
        return self.last_port


def install(peers):
    wanted = list(PACKAGES[None])
    for peer in peers:
        wanted += [package for package in PACKAGES.get(peer, []) if package not in wanted]
    print(run([f"{ROOT}/scripts/install-dependencies", *wanted]), end="", flush=True)


def build(work):
    folder = run([f"{ROOT}/scripts/build-release"]).strip().splitlines()[-1]
    tools = Tools(
        sender=os.path.join(folder, "repl-sender"),
        receiver=os.path.join(folder, "repl-receiver"),
        measured_run=os.path.join(work, "measured-run"),
        reference_pass=os.path.join(work, "reference-pass"),
        certificates=os.path.join(work, "certificates"),
    )
    compile_c("measured-run.c", tools.measured_run)
    compile_c("reference-pass.c", tools.reference_pass, "-lssl", "-lcrypto", "-lzstd", "-pthread")
    make_certificates(tools.certificates)
    return tools


def compile_c(source, program, *libraries):
    run(["gcc", "-O3", "-Wall", "-Wextra", "-Werror", "-o", program, os.path.join(BENCH, source), *libraries])


def make_certificates(folder):
    """An authority and a server's certificate, with the names that nbdkit and libnbd look for."""
    os.makedirs(folder, exist_ok=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    run(
        [
            "openssl",
            "req",
            "-x509",
            *curve,
            "-subj",
            "/CN=bench authority",
            "-keyout",
            f"{folder}/ca-key.pem",
            "-out",
            f"{folder}/ca-cert.pem",
        ]
    )
    with open(f"{folder}/names", "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run(
        [
            "openssl",
            "req",
            *curve[:-2],
            "-subj",
            "/CN=localhost",
            "-keyout",
            f"{folder}/server-key.pem",
            "-out",
            f"{folder}/request.pem",
        ]
    )
    run(
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            f"{folder}/request.pem",
            "-CA",
            f"{folder}/ca-cert.pem",
            "-CAkey",
            f"{folder}/ca-key.pem",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            f"{folder}/names",
            "-out",
            f"{folder}/server-cert.pem",
        ]
    )
