import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import Synchronization

@testable import ReplPass
@testable import ReplSource

/// A disk of the source that lies about its holes, or fails when it is read for the second time.
final class TrickyDisk: BlockReadable {
  private let bytes: [UInt8]
  private let hidden: Range<Int64>?
  private let brokenAt: Int64?
  private let reads = Mutex(0)
  private let isCached: Mutex<Bool>

  /// `hidden` is claimed to hold nothing, and also reads as zeros until the cache is forgotten where
  /// `isCached`; `brokenAt` can be read once.
  init(_ bytes: [UInt8], hiding hidden: Range<Int64>? = nil, isCached: Bool = false, brokenAt: Int64? = nil) {
    self.bytes = bytes
    self.hidden = hidden
    self.isCached = Mutex(isCached)
    self.brokenAt = brokenAt
  }

  var sizeBytes: Int64 { Int64(bytes.count) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    if let brokenAt, (offset..<(offset + Int64(buffer.count))).contains(brokenAt) {
      let number = reads.withLock { reads in
        reads += 1
        return reads
      }
      if number > 1 { throw IOError(.system(EIO), "read", path: "source", offsetBytes: offset) }
    }
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: .init(rebasing: $0[Int(offset)..<(Int(offset) + buffer.count)]))
    }
    guard let hidden, isCached.withLock({ $0 }) else { return }
    let zeros = hidden.clamped(to: offset..<(offset + Int64(buffer.count)))
    for position in zeros { buffer[Int(position - offset)] = 0 }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) { isCached.withLock { $0 = false } }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    guard offset < sizeBytes else { return nil }
    guard let hidden, offset < hidden.upperBound else {
      return ByteRange(offset: offset, length: sizeBytes - offset)
    }
    if offset < hidden.lowerBound {
      return ByteRange(offset: offset, length: hidden.lowerBound - offset)
    }
    return hidden.upperBound < sizeBytes
      ? ByteRange(offset: hidden.upperBound, length: sizeBytes - hidden.upperBound) : nil
  }
}

extension Pair {
  /// A view of any disks.
  func view(of disks: [any BlockReadable]) -> VMView {
    let plain = view([])
    let members = disks.enumerated().map { index, disk in
      ViewDisk(
        id: Pair.disks[index], slot: DiskSlot(bus: .scsi, controller: 0, unit: index)!, image: disk,
        facts: DiskFacts(entries: []))
    }
    return VMView(
      vm: plain.vm, displayName: plain.displayName, frozenAt: plain.frozenAt, label: .crashConsistent,
      disks: members, vmx: plain.vmx, nvram: nil, stillness: Stillness(vmxPath: "/nowhere", files: []))
  }

  /// One pass that ends with a proof, unless only the receiver may ask for it.
  func prove(
    _ view: VMView, wantsProof: Bool = true, stop: StopSignal = StopSignal(),
    onCommitted: @escaping @Sendable (SourcePass.Report) -> Void = { _ in },
    progress: @escaping @Sendable (VMStatus.Running) -> Void = { _ in }
  ) throws -> SourcePass.Report {
    let state = try SourceState(root: sender.disk("state"))
    // A lost epoch would be refused: a new sender process knows it from its board.
    let epoch = try store().standbys().first?.catalog?.epoch
    return try SourcePass(
      view: view, settings: settings(), state: state, lastEpoch: epoch, stop: stop, wantsProof: wantsProof,
      time: SystemTime(), progress: progress, onCommitted: onCommitted
    ).run()
  }

  /// The bytes of every statement of one side.
  func statements(_ machine: SimulatedMachine) throws -> [[UInt8]] {
    let directory = try machine.disk("state").createDirectory("statements")
    return try directory.entryNames().map { try directory.readFile($0, limitBytes: 1 << 20) }
  }

  /// Changes one byte of a standby disk beneath everything that remembers it.
  func flip(_ disk: DiskID, at offset: Int64) throws {
    let summary = try store().standbys()[0]
    let entry = summary.catalog!.disk(disk)!
    let file = try receiver.disk("store").openDirectory(summary.directory)
      .openFile(entry.flatFileName, .readWrite)
    var byte: [UInt8] = [0]
    try byte.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
    byte[0] ^= 0x10
    try byte.withUnsafeBytes { try file.write($0, at: offset) }
    try file.sync()
  }
}
