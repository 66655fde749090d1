import ReplIO
import ReplModel

/// A journal that belongs to no pass and is never read: what appending and syncing cost, for the benchmark.
package final class TrialJournal {
  private let writer: RecordWriter

  package init(_ name: String, in directory: any StorageDirectory) throws(StandbyError) {
    let header = RecordFileHeader(
      kind: .journal, identity: .random(in: .min ... .max),
      description: RecordFileHeader.Description(vm: .random(), pass: .random(), base: nil, disks: []))
    writer = try RecordWriter.create(name, in: directory, header: header)
  }

  /// Appends one batch record with that body, at most 1 MiB.
  package func append(_ body: UnsafeRawBufferPointer) throws(StandbyError) {
    try writer.append(.batch, [body])
  }

  /// Makes everything appended durable.
  package func sync() throws(StandbyError) { try writer.sync() }
}
