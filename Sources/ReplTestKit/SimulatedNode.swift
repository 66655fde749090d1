/// A change of a file that is not durable yet.
enum FileChange: Sendable {
  case write(offset: Int64, bytes: [UInt8])
  case zero(offset: Int64, length: Int64)
  case truncate(sizeBytes: Int64)
}

/// A file: what a crash leaves for certain, what a reader sees now, and the changes in between.
struct FileNode: Sendable {
  var durable = SparseBytes()
  var visible = SparseBytes()
  var pending: [FileChange] = []
  /// A sync has failed: what readers see is no longer what a sync makes durable.
  private var hasForgotten = false

  mutating func change(_ change: FileChange) {
    Self.apply(change, to: &visible)
    pending.append(change)
  }

  mutating func sync() {
    if hasForgotten {
      for change in pending { Self.apply(change, to: &durable) }
    } else {
      durable = visible
    }
    pending = []
  }

  /// As Linux does it: the error is told once, the changes are forgotten, and readers still see them in the
  /// cache.
  mutating func failSync() {
    hasForgotten = hasForgotten || !pending.isEmpty
    pending = []
  }

  /// What is on the medium after a power cut.
  mutating func cutPower(_ survivors: Survivors, _ random: inout SeededRandom) {
    switch survivors {
    case .none: break
    case .all: for change in pending { Self.apply(change, to: &durable) }
    case .random:
      for change in pending.shuffled(using: &random) { Self.applyInPart(change, to: &durable, &random) }
    }
    visible = durable
    pending = []
    hasForgotten = false
  }

  private static func apply(_ change: FileChange, to content: inout SparseBytes) {
    switch change {
    case .write(let offset, let bytes): bytes.withUnsafeBytes { content.write($0, at: offset) }
    case .zero(let offset, let length): content.zero(offset: offset, length: length)
    case .truncate(let size): content.truncate(to: size)
    }
  }

  /// Lost, kept whole, or torn: then each 512-byte sector for itself.
  private static func applyInPart(
    _ change: FileChange, to content: inout SparseBytes, _ random: inout SeededRandom
  ) {
    switch random.next() % 3 {
    case 0: return
    case 1: apply(change, to: &content)
    default: tear(change, to: &content, &random)
    }
  }

  private static let sectorBytes: Int64 = 512

  private static func tear(
    _ change: FileChange, to content: inout SparseBytes, _ random: inout SeededRandom
  ) {
    let (offset, length): (Int64, Int64) =
      switch change {
      case .write(let offset, let bytes): (offset, Int64(bytes.count))
      case .zero(let offset, let length): (offset, length)
      case .truncate: (0, 0)
      }
    var position = offset
    while position < offset + length {
      let end = min((position / sectorBytes + 1) * sectorBytes, offset + length)
      if random.chance(1, of: 2) {
        switch change {
        case .write(_, let bytes):
          bytes.withUnsafeBytes {
            content.write(.init(rebasing: $0[Int(position - offset)..<Int(end - offset)]), at: position)
          }
        case .zero: content.zero(offset: position, length: end - position)
        case .truncate: break
        }
      }
      position = end
    }
  }
}

/// A change of a directory that is not durable yet.
enum EntryChange: Sendable {
  case set(name: String, node: Int)
  case remove(name: String)
  case rename(from: String, to: String, node: Int)
}

struct DirectoryNode: Sendable {
  var durable: [String: Int] = [:]
  var visible: [String: Int] = [:]
  var pending: [EntryChange] = []

  mutating func change(_ change: EntryChange) {
    Self.apply(change, to: &visible)
    pending.append(change)
  }

  mutating func sync() {
    durable = visible
    pending = []
  }

  /// A file system with a journal keeps the order of name changes: a crash leaves a prefix of them.
  mutating func cutPower(_ survivors: Survivors, _ random: inout SeededRandom) {
    let kept =
      switch survivors {
      case .none: 0
      case .all: pending.count
      case .random: Int(random.next() % UInt64(pending.count + 1))
      }
    for change in pending.prefix(kept) { Self.apply(change, to: &durable) }
    visible = durable
    pending = []
  }

  private static func apply(_ change: EntryChange, to entries: inout [String: Int]) {
    switch change {
    case .set(let name, let node): entries[name] = node
    case .remove(let name): entries[name] = nil
    case .rename(let from, let to, let node):
      entries[from] = nil
      entries[to] = node
    }
  }
}

enum SimulatedNode: Sendable {
  case file(FileNode)
  case directory(DirectoryNode)
}
