/// What runs in the guest: the first process of a Linux whose root filesystem is an archive with busybox.
enum GuestProgram {
  /// How many of the newest files the writer keeps: older blocks are used again, and the disk never fills up.
  static let keptFiles = 400
  /// What the last line begins with: after it the guest waits until it is ended from outside.
  static let verdict = "VERDICT"
  /// What the kernel needs to see a virtio disk, each after those that it needs itself.
  static let diskModules = [
    "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
  ]

  /// Everything is said on the second serial port. `vmrepl=write` on the kernel's command line writes
  /// numbered files for ever and says `SYNCED n` when file n is on the disk; `vmrepl=check` says of each file
  /// whether it is whole. A file carries its number, its body and the body's MD5, and gets its name only when
  /// all of it has been synced.
  static let script = """
    #!/bin/busybox sh
    /bin/busybox --install -s /bin
    export PATH=/bin
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t devtmpfs dev /dev
    exec > /dev/ttyS1
    # A port that is closed by a power-off may lose what it has not sent yet.
    end() { sync; echo "\(verdict) $1"; while :; do sleep 60; done; }
    for module in \(diskModules.joined(separator: " ")); do
      insmod /modules/$module.ko || end "NO MODULE"
    done
    tries=0
    while [ ! -b /dev/vda ]; do
      tries=$((tries + 1))
      [ $tries -gt 300 ] && end "NO DISK"
      sleep 0.1
    done
    mount -t ext4 /dev/vda /disk || end "NO MOUNT"
    cd /disk
    numbers() { ls | sed -n 's/^f\\([0-9]*\\)$/\\1/p' | sort -n; }
    write() {
      n=$(numbers | tail -n 1)
      n=$((${n:-0} + 1))
      echo "WRITING FROM $n"
      while :; do
        lines=$(( (n * 7919) % 1500 + 1 ))
        yes "file $n carries this line" | head -n $lines > body
        { echo "$n"; cat body; md5sum < body; } > fresh || end "NO SPACE"
        sync fresh
        mv fresh f$n
        rm -f f$((n - \(keptFiles)))
        sync .
        echo "SYNCED $n"
        n=$((n + 1))
      done
    }
    check() {
      for n in $(numbers); do
        sed '1d;$d' f$n > /body
        if [ "$(head -n 1 f$n)" = "$n" ] && [ "$(tail -n 1 f$n)" = "$(md5sum < /body)" ] \\
          && [ "$(head -n 1 /body)" = "file $n carries this line" ]
        then echo "WHOLE $n"; else echo "BROKEN $n"; fi
      done
      cd /
      umount /disk
      end "CHECKED"
    }
    case " $(cat /proc/cmdline) " in
      *" vmrepl=write "*) write ;;
      *" vmrepl=check "*) check ;;
      *) end "NO TASK" ;;
    esac

    """

  /// The first root filesystem; `modules` are the files of `diskModules`.
  static func archive(busybox: [UInt8], modules: [[UInt8]]) -> [UInt8] {
    var archive = CpioArchive()
    for folder in ["bin", "modules", "proc", "sys", "dev", "disk"] { archive.addDirectory(folder) }
    for (name, module) in zip(diskModules, modules) { archive.addFile("modules/\(name).ko", module) }
    archive.addFile("bin/busybox", busybox)
    archive.addFile("init", Array(script.utf8))
    return archive.finished()
  }
}
