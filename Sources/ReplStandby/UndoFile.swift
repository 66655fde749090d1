import ReplIO
import ReplModel

/// A sealed undo file, for reading: the pages that lead back to one recovery point from the next one that is
/// kept.
struct UndoFile {
  let reference: PointReference
  let reader: RecordReader

  var disks: [RecordFileHeader.Disk] { reader.header.description.disks }
  var path: String { reader.file.path }

  /// Nil when there is no such file: retention may have merged it into an older one meanwhile.
  static func open(
    backTo reference: PointReference, in points: any StorageDirectory
  ) throws(StandbyError) -> UndoFile? {
    let name = StandbyLayout.undo(backTo: reference)
    let file: any StorageFile
    do throws(IOError) { file = try points.openFile(name, .read) } catch {
      if error.isMissing { return nil }
      throw StandbyError(error)
    }
    guard let reader = try RecordReader.open(file), reader.header.kind == .undo,
      reader.header.description.base == reference
    else { throw .pointLost(reference, detail: "\(file.path) is not its undo file, or is damaged") }
    return UndoFile(reference: reference, reader: reader)
  }

  /// The sealed ones of a standby, oldest first.
  static func references(in points: any StorageDirectory) throws(StandbyError) -> [PointReference] {
    try storing { () throws(IOError) in try points.entryNames() }
      .compactMap(StandbyLayout.reference(ofUndo:)).sorted()
  }

  /// Gives every batch to `body`, in order. Throws `.pointLost` when the file is not whole to its seal.
  func forEach(
    _ body: (BatchRecord, UnsafeRawBufferPointer) throws(StandbyError) -> Void
  ) throws(StandbyError) {
    try reader.rewind()
    defer { reader.dropBuffer() }
    while let record = try reader.next() {
      switch record.type {
      case .seal: return
      case .batch:
        guard let batch = BatchRecord(record, disks: disks) else {
          throw .pointLost(
            reference, detail: "\(path): the record at byte \(record.offsetBytes) makes no sense")
        }
        try body(batch, record.body)
      case .file, .commit:
        throw .pointLost(
          reference, detail: "\(path): the record at byte \(record.offsetBytes) does not belong there")
      }
    }
    throw .pointLost(reference, detail: "\(path) is damaged at byte \(reader.endBytes)")
  }
}

extension StandbyLayout {
  /// The point to which an undo file of this name leads back; nil for other files.
  static func reference(ofUndo name: String) -> PointReference? {
    guard name.hasSuffix(undoSuffix) else { return nil }
    return PointReference(String(name.dropLast(undoSuffix.count)))
  }
}
