import Glibc

/// Three passes of a VM: a first copy, a pass with changes and zeros, and one with which a disk grows. The
/// state before each of them can be brought back at once.
final class ThreePasses {
  static let count = 3

  let lab: Lab
  let vm: VersionedVM
  let place: ImageMount

  init(seed: UInt64) throws {
    // Sparse. Putting a point together asks for a reserve of 256 MiB.
    place = try ImageMount(sizeMiB: 512)
    lab = try Lab(in: place.path)
    vm = try VersionedVM(lab, seed: seed)
    try lab.configure(receiver: VersionedVM.retention)
    for pass in 1...Self.count {
      try vm.writeVersion(pass)
      try place.keep("before-\(pass)")
      if pass < Self.count {
        try lab.startReceiver()
        try lab.pass()
        try lab.stopReceiver()
      }
    }
  }

  /// All of the lab as it was before pass `number`, 1 to 3, with the source's version for it.
  func restore(before number: Int) throws {
    if lab.receiver != nil { try lab.stopReceiver(SIGKILL) }
    try place.restore("before-\(number)")
  }
}
