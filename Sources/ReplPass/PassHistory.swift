import FoundationEssentials
import ReplIO
import ReplModel
import Synchronization

/// What the last passes of each VM took, one small file a VM: a restart goes on with what was measured.
public final class PassHistory: Sendable {
  /// Enough for a quantile, few enough to forget a bad day.
  static let limit = 16
  private static let fileLimitBytes = 64 << 10

  private let measures = Mutex<[VMID: [PassMeasure]]>([:])
  private let directory: (any StorageDirectory)?

  /// Loads what was kept. A file that cannot be read or does not parse is left out: the next passes measure
  /// anew.
  public init(directory: (any StorageDirectory)?) throws(IOError) {
    self.directory = directory
    guard let directory else { return }
    for name in try directory.entryNames() where name.hasSuffix(".json") {
      // History only: whatever is wrong with an entry must not keep the daemon from starting.
      guard let vm = VMID(String(name.dropLast(5))), let kept = try? Self.read(name, in: directory) else {
        continue
      }
      measures.withLock { $0[vm] = Array(kept.filter(\.isPlausible).suffix(Self.limit)) }
    }
  }

  private static func read(_ name: String, in directory: any StorageDirectory) throws -> [PassMeasure] {
    let bytes = try directory.readFile(name, limitBytes: fileLimitBytes)
    return try JSONDecoder().decode([PassMeasure].self, from: Data(bytes))
  }

  /// What the next pass is expected to take; nil before one was measured.
  public func estimate(of vm: VMID) -> PassEstimate? {
    PassEstimate(measures.withLock { $0[vm] ?? [] })
  }

  /// The last passes, the newest last.
  public subscript(vm: VMID) -> [PassMeasure] { measures.withLock { $0[vm] ?? [] } }

  /// Adds a pass and writes the file.
  public func add(_ measure: PassMeasure, of vm: VMID) throws(IOError) {
    let all = measures.withLock { measures in
      let all = Array(((measures[vm] ?? []) + [measure]).suffix(Self.limit))
      measures[vm] = all
      return all
    }
    guard let directory else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    // Why it failed would not matter: finite numbers are always encodable.
    guard let data = try? encoder.encode(all) else { preconditionFailure("measures are finite numbers") }
    try directory.replaceFile("\(vm).json", with: Array(data))
  }

  /// Forgets one VM; nothing when nothing is known of it.
  public func remove(_ vm: VMID) throws(IOError) {
    measures.withLock { _ = $0.removeValue(forKey: vm) }
    guard let directory, try directory.contains("\(vm).json") else { return }
    try directory.removeFile("\(vm).json")
    try directory.sync()
  }
}
