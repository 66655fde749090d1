"""rsync, against its own daemon (no encryption) and over ssh."""

import getpass
import os

from ..measure import Run
from ..process import Daemon, run
from .peer import Peer


class Rsync(Peer):
    daemon = None

    def __init__(self, *arguments, compresses):
        super().__init__(*arguments)
        self.compresses = compresses

    def options(self, workload):
        # A disk in use always has another time; with equal sizes and times rsync would not look inside.
        options = ["--ignore-times", "--inplace"]
        # A first copy has nothing to find differences to, and may leave holes.
        options += ["--whole-file", "--sparse"] if workload.is_first_copy else ["--no-whole-file"]
        return options + (["--compress"] if self.compresses else [])

    def end_daemons(self):
        if self.daemon:
            self.daemon.stop()


class RsyncDaemon(Rsync):
    def start(self):
        self.port = self.tools.free_port()
        config = os.path.join(self.folder, "rsyncd.conf")
        with open(config, "w") as file:
            file.write(
                "use chroot = no\nreverse lookup = no\n"
                # As root it would become nobody, who may not write here.
                + ("uid = root\ngid = root\n" if os.getuid() == 0 else "")
                + f"[copy]\npath = {self.folder}\nread only = no\n"
            )
        self.daemon = Daemon(
            "rsync --daemon",
            [
                "rsync",
                "--daemon",
                "--no-detach",
                f"--config={config}",
                f"--port={self.port}",
                "--address=127.0.0.1",
            ],
            self.log,
            self.port,
        )

    def prepare(self, workload):
        target = f"rsync://127.0.0.1:{self.port}/copy/{os.path.basename(self.copy)}"
        return Run(["rsync", *self.options(workload), self.source, target], service=self.daemon)


class RsyncSSH(Rsync):
    def start(self):
        self.port = self.tools.free_port()
        os.chmod(self.folder, 0o700)
        for name in ("host", "user"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.folder}/{name}-key"])
        os.rename(f"{self.folder}/user-key.pub", f"{self.folder}/authorized")
        config = os.path.join(self.folder, "sshd_config")
        with open(config, "w") as file:
            file.write(
                f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host-key\n"
                f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n"
                # What a user's shell does when it starts is no part of rsync.
                f"SetEnv HOME={self.folder}\n"
                "PasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\nPrintMotd no\n"
            )
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.daemon = Daemon("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", config], self.log, self.port)

    def prepare(self, workload):
        # The cipher that a processor with AES is fastest with.
        ssh = (
            f"ssh -p {self.port} -i {self.folder}/user-key -F none -o BatchMode=yes "
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
            "-c aes128-gcm@openssh.com -o Compression=no"
        )
        return Run(
            [
                "rsync",
                *self.options(workload),
                "-e",
                ssh,
                self.source,
                f"{getpass.getuser()}@127.0.0.1:{self.copy}",
            ],
            service=self.daemon,
        )
