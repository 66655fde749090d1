import ReplIO
import ReplModel

/// A file of a simulated disk.
final class SimulatedFile: StorageFile {
  let path: String
  private let machine: SimulatedMachine
  private let node: Int

  init(machine: SimulatedMachine, node: Int, path: String) {
    self.machine = machine
    self.node = node
    self.path = path
  }

  var sizeBytes: Int64 { machine.state.withLock { $0.file(node).visible.sizeBytes } }

  func currentSizeBytes() throws(IOError) -> Int64 {
    try machine.look("stat", path: path) { $0.file(node).visible.sizeBytes }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    let content = try machine.look("read", path: path) { $0.file(node).visible }
    guard offset + Int64(buffer.count) <= content.sizeBytes else {
      throw IOError(.unexpectedEnd, "read", path: path, offsetBytes: content.sizeBytes)
    }
    content.read(into: buffer, at: offset)
  }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    let content = try machine.look("seek", path: path) { $0.file(node).visible }
    return content.allocated(atOrAfter: offset).map { ByteRange(offset: $0.start, length: $0.end - $0.start) }
  }

  /// What was not synced is lost with the machine; nothing is kept besides.
  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    let change = FileChange.write(offset: offset, bytes: [UInt8](copying: buffer))
    try machine.perform(.change(file: node, change), path: path, offsetBytes: offset)
  }

  func writeZeros(_ range: ByteRange) throws(IOError) {
    if range.isEmpty { return }
    let change = FileChange.zero(offset: range.offset, length: range.length)
    try machine.perform(.change(file: node, change), path: path, offsetBytes: range.offset)
  }

  func truncate(to sizeBytes: Int64) throws(IOError) {
    let change = FileChange.truncate(sizeBytes: sizeBytes)
    try machine.perform(.change(file: node, change), path: path, offsetBytes: sizeBytes)
  }

  func sync() throws(IOError) {
    try machine.perform(.sync(file: node), path: path)
  }
}
