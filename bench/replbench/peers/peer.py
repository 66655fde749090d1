"""What all peers have in common."""

import os
import shutil
import subprocess


class Peer:
    """A copy of `source` (the path of the disk) in `folder`, and whoever keeps it up to date."""

    # Whether it syncs before it says that it is done.
    is_durable = False

    def __init__(self, name, folder, tools, source):
        self.name = name
        self.folder = folder
        self.tools = tools
        self.source = source
        os.makedirs(folder)

    @property
    def copy(self):
        """The path of the copy."""
        return os.path.join(self.folder, "copy.img")

    @property
    def log(self):
        return os.path.join(self.folder, "log")

    def start(self):
        """Starts the daemons, with no copy yet."""

    def adopt_base(self):
        """Makes the copy equal to the source, however it likes; not measured."""
        subprocess.run(["cp", "--sparse=always", self.source, self.copy], check=True)

    def prepare(self, workload):
        """The `Run` that brings the copy up to date."""
        raise NotImplementedError

    def conclude(self, figures):
        """Adds what the peer itself reported."""

    def stop(self):
        """Ends the daemons and removes the copy."""
        self.end_daemons()
        shutil.rmtree(self.folder)

    def end_daemons(self):
        pass
