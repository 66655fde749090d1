import ReplIO

/// A grain directory in its file: read in blocks when it is needed, each block checked once while it is kept.
final class GrainDirectory: Sendable {
  /// Turns the entries as they stand in the file into what the extent's tables go by, 0 for a table that is
  /// absent; throws when one cannot be right. The second value is the number of the block's first table.
  typealias Decode = @Sendable ([UInt64], Int64) throws(IOError) -> [Int64]

  private let file: any StorageFile
  private let offsetBytes: Int64
  private let entryBytes: Int
  private let tableCount: Int64
  private let decode: Decode
  private let context: ExtentContext
  private let owner: Int

  init(
    _ file: any StorageFile, at offsetBytes: Int64, entryBytes: Int, tableCount: Int64,
    _ context: ExtentContext, decode: @escaping Decode
  ) {
    self.file = file
    self.offsetBytes = offsetBytes
    self.entryBytes = entryBytes
    self.tableCount = tableCount
    self.context = context
    self.decode = decode
    owner = context.newOwner()
  }

  func entry(_ table: Int64) throws(IOError) -> Int64 {
    let perBlock = Int64(Limits.directoryBlockEntries)
    return try block(table / perBlock)[Int(table % perBlock)]
  }

  /// The first table at or after `table` that is not absent.
  func next(atOrAfter table: Int64) throws(IOError) -> Int64? {
    let perBlock = Int64(Limits.directoryBlockEntries)
    var table = table
    while table < tableCount {
      let number = table / perBlock
      let block = try block(number)
      if let found = block[Int(table % perBlock)...].firstIndex(where: { $0 != 0 }) {
        return number * perBlock + Int64(found)
      }
      table = (number + 1) * perBlock
    }
    return nil
  }

  private func block(_ number: Int64) throws(IOError) -> [Int64] {
    if let known = context.keptEntries(owner, number) { return known }
    let first = number * Int64(Limits.directoryBlockEntries)
    let count = Int(min(Int64(Limits.directoryBlockEntries), tableCount - first))
    let raw = try file.entries(
      at: offsetBytes + first * Int64(entryBytes), count: count, width: entryBytes)
    let block = try decode(raw, first)
    context.keep(entries: block, owner, number)
    return block
  }
}
