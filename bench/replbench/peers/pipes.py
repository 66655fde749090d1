"""A plain pipe through TLS, synced at the end: what a first copy costs at least. It sends zeros like data."""

import os

from ..measure import Run
from ..process import Server
from .peer import Peer


class Pipe(Peer):
    is_durable = True

    def __init__(self, *arguments, packs):
        super().__init__(*arguments)
        self.packs = packs

    def prepare(self, workload):
        port = self.tools.free_port()
        unpack = "zstd -dc | " if self.packs else ""
        listen = (
            f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,verify=0,cert={self.tools.certificate},"
            f"key={self.tools.key}"
        )
        receive = (
            f"set -o pipefail; socat -u -b 1048576 {listen} - | {unpack}"
            f"dd of={self.copy} bs=1M iflag=fullblock conv=fdatasync,sparse status=none "
            f"&& truncate -s {os.path.getsize(self.source)} {self.copy}"
        )
        pack = " | zstd -1 -T0 -q -c" if self.packs else ""
        dial = f"socat -u -b 1048576 - OPENSSL:127.0.0.1:{port},verify=0"
        send = f"set -o pipefail; cat {self.source}{pack} | {dial}"
        server = Server(
            self.name,
            ["bash", "-c", receive],
            self.log,
            os.path.join(self.folder, "received"),
            self.tools,
            port,
        )
        return Run(["bash", "-c", send], server=server)
