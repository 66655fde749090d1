import ReplDigest
import ReplIO
import ReplModel

/// The root of what a file holds, computed by reading it; no map is believed.
struct DiskRoot {
  let file: any StorageFile
  let member: DiskPoint
  let key: DigestKey
  /// Where a map can be written for the time being.
  let scratch: any StorageDirectory

  /// `note` hears how many bytes of the disk are done.
  func compute(_ note: (_ doneBytes: Int64) -> Void) throws(StandbyError) -> Root {
    let name = "\(member.disk)-\(HexText.encode(StandbyID.random().bytes)).check"
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(name, in: scratch, format: member.mapFormat)
    }
    // Nobody looks for it by its name: without one it goes with whoever has it open, whatever ends him.
    try storing { () throws(IOError) in try scratch.removeFile(name) }
    let leafBytes = Int64(member.grid.leafSizeBytes)
    _ = try MapBuilder(disk: file, format: member.mapFormat, key: key).fill(map, from: 0) {
      (leaf) throws(StandbyError) in
      note(min((leaf + 1) * leafBytes, member.grid.sizeBytes))
      return true
    }
    return try digesting { () throws(DigestError) in
      try map.finish(at: PointReference(epoch: Epoch(0), number: 0), pass: PassID(high: 0, low: 0))
    }
  }
}
