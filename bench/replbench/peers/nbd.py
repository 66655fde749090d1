"""nbdcopy over TLS into an export of nbdkit: first copies only."""

import os
from urllib.parse import quote

from ..measure import Run
from ..process import Daemon
from .peer import Peer


class NBDCopy(Peer):
    daemon = None

    def __init__(self, *arguments, flushes):
        super().__init__(*arguments)
        self.flushes = flushes
        self.is_durable = flushes

    def start(self):
        self.port = self.tools.free_port()
        with open(self.copy, "wb") as file:
            file.truncate(os.path.getsize(self.source))
        self.daemon = Daemon(
            "nbdkit",
            [
                "nbdkit",
                "--foreground",
                "--exit-with-parent",
                "--ipaddr=127.0.0.1",
                f"--port={self.port}",
                "--tls=require",
                f"--tls-certificates={self.tools.certificates}",
                "file",
                self.copy,
            ],
            self.log,
            self.port,
        )

    def prepare(self, workload):
        target = f"nbds://localhost:{self.port}/?tls-certificates={quote(self.tools.certificates)}"
        # The export is new: nbdcopy need not write the zeros, as none of the others does.
        options = ["--destination-is-zero"] + (["--flush"] if self.flushes else [])
        return Run(["nbdcopy", *options, self.source, target], service=self.daemon)

    def end_daemons(self):
        if self.daemon:
            self.daemon.stop()
