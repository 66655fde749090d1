"""The same design in plain C: bench/reference-pass.c."""

import os

from ..measure import Run
from ..process import Daemon, run
from .peer import Peer


class Reference(Peer):
    is_durable = True
    daemon = None

    def start(self):
        self.port = self.tools.free_port()
        self.daemon = Daemon(
            "reference-pass",
            [
                self.tools.reference_pass,
                "receive",
                str(self.port),
                self.copy,
                self.tools.certificate,
                self.tools.key,
            ],
            self.log,
            self.port,
        )

    def command(self, *options):
        table = os.path.join(self.folder, "table")
        return [self.tools.reference_pass, "send", str(self.port), self.source, table, *options]

    def adopt_base(self):
        run(self.command())
        self.daemon.settle()

    def prepare(self, workload):
        return Run(self.command(*(["direct"] if workload.is_cold else [])), service=self.daemon)

    def end_daemons(self):
        if self.daemon:
            self.daemon.stop()
