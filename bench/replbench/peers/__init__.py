"""Each peer brings a copy of a disk up to date, one run at a time."""

from .nbd import NBDCopy
from .pipes import Pipe
from .reference import Reference
from .rsync import RsyncDaemon, RsyncSSH
from .vmrepl import VMRepl

MAKERS = {
    "vmrepl": VMRepl,
    "reference": Reference,
    "rsync": lambda *arguments: RsyncDaemon(*arguments, compresses=False),
    "rsync-z": lambda *arguments: RsyncDaemon(*arguments, compresses=True),
    "rsync-ssh": lambda *arguments: RsyncSSH(*arguments, compresses=False),
    "rsync-ssh-z": lambda *arguments: RsyncSSH(*arguments, compresses=True),
    "nbdcopy": lambda *arguments: NBDCopy(*arguments, flushes=False),
    "nbdcopy-flush": lambda *arguments: NBDCopy(*arguments, flushes=True),
    "pipe": lambda *arguments: Pipe(*arguments, packs=False),
    "pipe-zstd": lambda *arguments: Pipe(*arguments, packs=True),
}

# Those that find what changed; the others copy everything.
DELTA = ["vmrepl", "reference", "rsync", "rsync-z", "rsync-ssh", "rsync-ssh-z"]


def make(name, folder, tools, source):
    return MAKERS[name](name, folder, tools, source)
