import Foundation
import ReplModel
import ReplService
import ReplTestKit

/// A VM with two small disks of which every version is known: the first one, then versions with changes and
/// zeros; with the third one a disk grows. Says which of them a standby is.
final class VersionedVM {
  private static let pageBytes = 4096

  let lab: Lab
  private let seed: UInt64
  /// The disks of each version; index 0 is the first one.
  private(set) var versions: [[Data]] = []

  /// The lab's VM; nothing is written yet.
  init(_ lab: Lab, seed: UInt64) throws {
    self.lab = lab
    self.seed = seed
    try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 3 << 20)
    try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 1 << 20)
  }

  // MARK: - The source

  func flat(_ disk: Int) -> FlatDisk {
    FlatDisk(path: "\(lab.sourceFolder)/\(lab.diskNames[disk].replacing(".vmdk", with: "-flat.vmdk"))")
  }

  /// Makes the source be version `number`, when it is the one before.
  func writeVersion(_ number: Int) throws {
    var random = SeededRandom(seed: seed &* 100 &+ UInt64(number))
    if number == 3 { try grow(disk: 1, toBytes: 1_600_000 / 512 * 512) }
    for disk in 0...1 {
      let size = try size(of: disk) / Self.pageBytes
      for _ in 0..<(number == 1 ? 6 : 4) {
        let pages = Self.run(of: 24, within: size, &random)
        try flat(disk).write(pages: pages) { _ in Self.noise(&random) }
      }
      let zeros = number == 1 ? [] : Self.run(of: 8, within: size, &random)
      try flat(disk).write(pages: zeros) { _ in [UInt8](repeating: 0, count: Self.pageBytes) }
    }
    // The last page of a disk that is no whole number of pages long.
    if number == 3 {
      try flat(1).write(pages: [size(of: 1) / Self.pageBytes - 1]) { _ in Self.noise(&random) }
    }
    try lab.writeVMX(extra: "annotation = \"version \(number)\"\n")
    try remember(number)
  }

  /// Makes every page of the first disk new: far more than other versions change.
  func writeWholeVersion(_ number: Int) throws {
    var random = SeededRandom(seed: seed &* 100 &+ UInt64(number))
    let pages = try 0..<(size(of: 0) / Self.pageBytes)
    try flat(0).write(pages: Array(pages)) { _ in
      (0..<Self.pageBytes / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
    }
    try remember(number)
  }

  /// A page of the first disk that has data in the version before `number`, and other data in it.
  func pageChanged(by number: Int) throws -> Int {
    let (old, new) = (versions[number - 2][0], versions[number - 1][0])
    for page in 0..<old.count / Self.pageBytes {
      let range = page * Self.pageBytes..<(page + 1) * Self.pageBytes
      let hasData = old[range].contains { $0 != 0 } && new[range].contains { $0 != 0 }
      if hasData, old[range] != new[range] { return page }
    }
    throw ToolFailure(text: "no page with data changed with version \(number)")
  }

  private func remember(_ number: Int) throws {
    let version = try [flat(0).copy(), flat(1).copy()]
    if versions.count < number { versions.append(version) }
  }

  /// Few and longer runs: each is a call of its own at the receiver, and every call is swept.
  private static func run(of most: Int, within size: Int, _ random: inout SeededRandom) -> [Int] {
    let first = Int.random(in: 0..<size, using: &random)
    return Array(first..<min(size, first + Int.random(in: 1...most, using: &random)))
  }

  private func size(of disk: Int) throws -> Int { try flat(disk).contents().count }

  private static func noise(_ random: inout SeededRandom) -> [UInt8] {
    let base = random.next()
    // Half of the pages compress.
    if base.isMultiple(of: 2) {
      return (0..<pageBytes).map { UInt8(truncatingIfNeeded: $0 / 64) ^ UInt8(base >> 56) }
    }
    return (0..<pageBytes / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
  }

  private func grow(disk: Int, toBytes size: Int) throws {
    let descriptor = "\(lab.sourceFolder)/\(lab.diskNames[disk])"
    let old = try self.size(of: disk)
    try Tool.must(["truncate", "-s", "\(size)", flat(disk).path])
    let text = try String(contentsOfFile: descriptor, encoding: .utf8)
    try text.replacing("RW \(old / 512) ", with: "RW \(size / 512) ")
      .write(toFile: descriptor, atomically: true, encoding: .utf8)
  }

  // MARK: - The standby

  /// What is at the receiver: the version that its newest point is, 0 when there is no point.
  struct Standby: Equatable, CustomStringConvertible {
    let version: Int
    let number: UInt64
    var description: String { "version \(version) as point \(number)" }
  }

  /// Which version the standby is, by its bytes and by what is said of it. Throws when it is none, or when
  /// it is between two.
  func standby() throws -> Standby {
    let text = try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig])
    guard let point = try StatusJSON.decode(Array(text.utf8)).vms.first?.latestPoint else {
      for name in try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      where FileManager.default.fileExists(atPath: "\(lab.storeFolder)/\(name)/\(lab.vmName).vmx") {
        throw ToolFailure(text: "\(name) has a VMX, and no recovery point: \(text)")
      }
      return Standby(version: 0, number: 0)
    }
    let folder = try lab.standbyFolder
    if FileManager.default.fileExists(atPath: "\(folder)/SETTLING.txt") {
      throw ToolFailure(text: "point \(point.reference) is named, and the disks are still settling")
    }
    let disks = try (0...1).map { disk in
      try Data(contentsOf: URL(fileURLWithPath: "\(folder)/scsi0-\(disk)-flat.vmdk"))
    }
    guard let index = versions.lastIndex(of: disks) else {
      throw ToolFailure(text: "the standby of point \(point.reference) is no version: \(describe(disks))")
    }
    let stub = try String(contentsOfFile: "\(folder)/web01.vmx", encoding: .utf8)
    guard stub.contains("scsi0:1.fileName") else { throw ToolFailure(text: "the VMX lacks a disk:\n\(stub)") }
    return Standby(version: index + 1, number: point.reference.number)
  }

  private func describe(_ disks: [Data]) -> String {
    disks.indices.map { disk in
      let matches = versions.indices.map { version -> String in
        let (old, new) = (versions[version][disk], disks[disk])
        let pages = min(old.count, new.count) / Self.pageBytes
        let same = (0..<pages).count { page in
          let range = page * Self.pageBytes..<(page + 1) * Self.pageBytes
          return old[range] == new[range]
        }
        return "\(same)/\(pages) pages of version \(version + 1)"
      }
      return "disk \(disk): \(disks[disk].count) bytes, \(matches.joined(separator: ", "))"
    }.joined(separator: "; ")
  }

  // MARK: - Older points

  /// Keeps two points, so that a third pass drops the first one.
  static let retention = "retention: {last: 2, hourly: 0, daily: 0, weekly: 0, floor: 0s}"

  private struct Row: Decodable {
    let point: String
    let problem: String?

    private enum Key: CodingKey { case point, problem }

    /// The point is written as text, or as its two numbers.
    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: Key.self)
      if let text = try? fields.decode(String.self, forKey: .point) {
        point = text
      } else {
        point = "\(try fields.decode(PointReference.self, forKey: .point))"
      }
      problem = try fields.decodeIfPresent(String.self, forKey: .problem)
    }
  }

  /// Throws when a point that is kept is not exactly its version, or when one of the newest two is missing.
  /// For as long as every version was committed once, and so has its own number.
  func checkPoints(newest: Int) throws {
    if newest == 0 { return }
    let command = [Tool.receiver, "points"]
    let text = try Tool.must(
      command + ["list", lab.vmName, "--json", "--config", lab.receiverConfig])
    let rows = try JSONDecoder().decode([Row].self, from: Data(text.utf8))
    let numbers = rows.compactMap { Int($0.point.split(separator: ".").last ?? "") }
    guard Set(max(1, newest - 1)...newest).isSubset(of: numbers), numbers.allSatisfy({ $0 <= newest }) else {
      throw ToolFailure(text: "the newest point is \(newest), there are \(numbers)")
    }
    for (row, number) in zip(rows, numbers) {
      if let problem = row.problem { throw ToolFailure(text: "point \(row.point): \(problem)") }
      let folder = NSTemporaryDirectory() + "vmrepl-point-\(UUID().uuidString)"
      // Best effort: a leftover in the temporary folder harms nobody.
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try Tool.must(
        command + ["mount", lab.vmName, "--point", row.point, "--to", folder, "--config", lab.receiverConfig])
      let disks = try (0...1).map { disk in
        try Data(contentsOf: URL(fileURLWithPath: "\(folder)/scsi0-\(disk)-flat.vmdk"))
      }
      guard disks == versions[number - 1] else {
        throw ToolFailure(text: "point \(row.point) is not its version: \(describe(disks))")
      }
    }
  }
}
