import Foundation
import Testing

/// Plays the virtualisation host for the provider `vmware-snapshot`: a program that creates and removes
/// snapshots as ESXi leaves them on the datastore. With a control socket the disk is in use by QEMU, which is
/// switched to the delta and back.
struct VMHost {
  let lab: Lab
  private let script: String

  init(_ lab: Lab) throws {
    self.lab = lab
    script = "\(lab.folder)/vmhost.py"
    try Self.program.write(toFile: script, atomically: true, encoding: .utf8)
  }

  /// The lines of the sender's configuration that belong to a VM. `control` is QEMU's socket.
  func settings(control: String? = nil, more: [String] = []) -> String {
    func command(_ verb: String) -> String {
      let words = ["/usr/bin/python3", script, verb, "{vmx}", "{tag}"] + (control.map { [$0] } ?? [])
      return "\(verb): {command: [" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "], deadline: 1m}"
    }
    let lines = ["provider: vmware-snapshot", command("create"), command("remove")] + more
    return "    freeze:\n" + lines.map { "      \($0)" }.joined(separator: "\n")
  }

  /// Takes or removes a snapshot as an administrator would, under a name of his own.
  func snapshot(_ verb: String, named name: String) throws {
    try Tool.must(["python3", script, verb, "\(lab.sourceFolder)/\(lab.vmName).vmx", name])
  }

  private static let program = #"""
    import fcntl, json, os, re, shutil, socket, subprocess, sys, tempfile, time

    verb, vmx, tag = sys.argv[1:4]
    control = sys.argv[4] if len(sys.argv) > 4 else None
    folder, vmsd = os.path.dirname(vmx), vmx[:-4] + ".vmsd"
    os.chdir(folder)


    class Control:
        "QEMU's monitor: one JSON object a line."

        def __init__(self, path):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(60)
            connection.connect(path)
            self.stream = connection.makefile("rw")
            self.read()
            self.run("qmp_capabilities")

        def read(self):
            return json.loads(self.stream.readline())

        def run(self, command, **arguments):
            self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.stream.flush()
            while True:
                answer = self.read()
                if "error" in answer:
                    sys.exit("%s: %s" % (command, answer["error"]["desc"]))
                if "return" in answer:
                    return answer["return"]

        def wait(self, job, status):
            "Asks rather than listens: the event may have come during the last command."
            while True:
                time.sleep(0.01)
                for each in self.run("query-jobs"):
                    if each["id"] == job:
                        if each.get("error"):
                            sys.exit(each["error"])
                        if each["status"] == status:
                            return


    class Stun:
        "Holds the machine still for a moment, as ESXi does: QEMU 7.2 dies of writes at that moment."

        def __init__(self, qemu):
            self.qemu = qemu

        def __enter__(self):
            self.qemu.run("stop")

        def __exit__(self, *_):
            self.qemu.run("cont")


    def replace(path, text):
        with open(path + ".new", "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)


    def disks():
        "Slot and file of every disk."
        return re.findall(r'(?m)^(scsi0:\d+)\.fileName = "(.*)"$', open(vmx).read())


    def point_to(names):
        text = open(vmx).read()
        for slot, name in names.items():
            text = re.sub(r'(?m)^%s\.fileName = ".*"$' % slot, '%s.fileName = "%s"' % (slot, name), text)
        replace(vmx, text)


    def snapshots():
        "All snapshots of the .vmsd, oldest first: (name, [(slot, the disk below it)])."
        if not os.path.exists(vmsd):
            return []
        entries = dict(re.findall(r'(?m)^(\S+) = "(.*)"$', open(vmsd).read()))

        def below(key):
            count = int(entries[key + ".numDisks"])
            stems = ["%s.disk%d" % (key, n) for n in range(count)]
            return [(entries[stem + ".node"], entries[stem + ".fileName"]) for stem in stems]

        keys = ["snapshot%d" % n for n in range(int(entries.get("snapshot.numSnapshots", 0)))]
        return [(entries[key + ".displayName"], below(key)) for key in keys]


    def write_snapshots(all):
        lines = ['.encoding = "UTF-8"', 'snapshot.lastUID = "%d"' % len(all)]
        if all:
            lines.append('snapshot.current = "%d"' % len(all))
        for i, (name, below) in enumerate(all):
            lines += [
                'snapshot%d.uid = "%d"' % (i, i + 1),
                'snapshot%d.filename = "vm-Snapshot%d.vmsn"' % (i, i + 1),
                'snapshot%d.displayName = "%s"' % (i, name),
                'snapshot%d.numDisks = "%d"' % (i, len(below)),
            ]
            for n, (slot, base) in enumerate(below):
                stem = "snapshot%d.disk%d" % (i, n)
                lines += ['%s.fileName = "%s"' % (stem, base), '%s.node = "%s"' % (stem, slot)]
        lines.append('snapshot.numSnapshots = "%d"' % len(all))
        replace(vmsd, "\n".join(lines) + "\n")


    def make_delta(base, delta):
        command = ["qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", base]
        if not control:
            subprocess.run(command + [delta], check=True)
            return
        # QEMU holds the lock of the real one: made beside a copy of the descriptor, with empty extents.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(folder)) as work:
            shutil.copy(base, work)
            for extent in re.findall(r'(?m)^RW \d+ \w+ "(.*?)"', open(base, errors="replace").read()):
                with open(os.path.join(work, extent), "w") as file:
                    file.truncate(os.path.getsize(extent))
            subprocess.run(command + [os.path.join(work, delta)], check=True, cwd=work)
            os.rename(os.path.join(work, delta), delta)


    def delta_name(base):
        stem = re.sub(r"(-\d{6})?\.vmdk$", "", base)
        number = 1
        while os.path.exists("%s-%06d.vmdk" % (stem, number)):
            number += 1
        return "%s-%06d.vmdk" % (stem, number)


    def create():
        bases = disks()
        deltas = {slot: delta_name(base) for slot, base in bases}
        for slot, base in bases:
            make_delta(base, deltas[slot])
        if control:
            (delta,) = deltas.values()
            qemu = Control(control)
            qemu.run("blockdev-add", driver="vmdk", backing=None,
                     **{"node-name": "delta", "file": {"driver": "file", "filename": os.path.abspath(delta)}})
            with Stun(qemu):
                qemu.run("blockdev-snapshot", node="base", overlay="delta")
        write_snapshots(snapshots() + [(tag, bases)])
        point_to(deltas)


    def remove():
        found = [below for name, below in snapshots() if name == tag]
        if not found:
            return
        bases, deltas = dict(found[0]), dict(disks())
        if control:
            qemu = Control(control)
            qemu.run("block-commit", device="delta", **{"job-id": "consolidate", "auto-dismiss": False})
            qemu.wait("consolidate", "ready")
            with Stun(qemu):
                qemu.run("block-job-complete", device="consolidate")
                qemu.wait("consolidate", "concluded")
            qemu.run("job-dismiss", id="consolidate")
            qemu.run("blockdev-del", **{"node-name": "delta"})
        else:
            for delta in deltas.values():
                subprocess.run(["qemu-img", "commit", "-q", "-f", "vmdk", delta], check=True)
        point_to(bases)
        write_snapshots([each for each in snapshots() if each[0] != tag])
        for delta in deltas.values():
            os.remove(delta)


    # Two at once, as after a killed sender, wait for each other.
    with open(os.path.join(os.path.dirname(folder), ".vmhost.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        {"create": create, "remove": remove}[verb]()

    """#
}
