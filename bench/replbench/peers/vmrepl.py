"""Ours: `repl-sender run --once` against a receiver that runs as a daemon."""

import glob
import json
import os

from ..measure import Run
from ..process import Daemon, Failure, run
from .peer import Peer

RECEIVER = """\
listen: 127.0.0.1:{port}
state_dir: {folder}/receiver-state
http: off
free_space_floor: 64MiB
stores:
  - name: main
    path: {folder}/store
peers:
  - name: bench
    fingerprint: {sender}
"""

SENDER = """\
state_dir: {folder}/sender-state
http: off
receiver:
  address: 127.0.0.1:{port}
  fingerprint: {receiver}
vms:
  - vmx: {vmx}
"""


class VMRepl(Peer):
    is_durable = True
    daemon = None

    @property
    def copy(self):
        found = glob.glob(f"{self.folder}/store/*/scsi0-0-flat.vmdk")
        return found[0] if found else os.path.join(self.folder, "store", "none")

    def start(self):
        port = self.tools.free_port()
        store = os.path.join(self.folder, "store")
        os.makedirs(store)
        sender, receiver = self.tools.sender, self.tools.receiver
        run([receiver, "init", "--state-dir", f"{self.folder}/receiver-state", "--store", store])
        run([sender, "init", "--state-dir", f"{self.folder}/sender-state"])
        values = {
            "port": port,
            "folder": self.folder,
            "vmx": os.path.join(os.path.dirname(self.source), "bench.vmx"),
            "sender": run([sender, "fingerprint", "--state-dir", f"{self.folder}/sender-state"]).strip(),
            "receiver": run(
                [receiver, "fingerprint", "--state-dir", f"{self.folder}/receiver-state"]
            ).strip(),
        }
        for name, text in (("receiver", RECEIVER), ("sender", SENDER)):
            with open(f"{self.folder}/{name}.yaml", "w") as file:
                file.write(text.format(**values))
        self.daemon = Daemon(
            "repl-receiver", [receiver, "run", "--config", f"{self.folder}/receiver.yaml"], self.log, port
        )

    def adopt_base(self):
        run(self.command)
        self.daemon.settle()

    @property
    def command(self):
        return [self.tools.sender, "run", "--once", "--json", "--config", f"{self.folder}/sender.yaml"]

    def prepare(self, workload):
        return Run(self.command, service=self.daemon)

    def conclude(self, figures):
        """The duration of the pass, which does not know of the process around it."""
        try:
            figures.reported_seconds = json.loads(figures.output)["vms"][0]["last_pass"]["duration_seconds"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Failure(
                f"repl-sender run --once --json: no last_pass.duration_seconds ({error}):\n"
                + figures.output[-2000:]
            )

    def end_daemons(self):
        if self.daemon:
            self.daemon.stop()
