import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

/// All of a disk in one read.
func contents(of disk: any BlockReadable) throws -> [UInt8] {
  try bytes(of: disk, ByteRange(offset: 0, length: disk.sizeBytes))
}

func bytes(of disk: any BlockReadable, _ range: ByteRange) throws -> [UInt8] {
  // Not zero, so that bytes which nobody fills show.
  var result = [UInt8](repeating: 0xEE, count: Int(range.length))
  try result.withUnsafeMutableBytes { try disk.read(into: $0, at: range.offset) }
  return result
}

/// All allocated ranges, in the order in which they are answered.
func allocatedRanges(of disk: any BlockReadable) throws -> [ByteRange] {
  var ranges: [ByteRange] = []
  var position: Int64 = 0
  while let next = try disk.allocatedRange(atOrAfter: position) {
    try #require(next.offset >= position && next.length > 0 && next.end <= disk.sizeBytes)
    ranges.append(next)
    position = next.end
  }
  return ranges
}

/// The error of opening `name`.
func refusal(of name: String, in folder: TestFolder) throws -> VMDKError {
  try #require(throws: VMDKError.self) { _ = try VMDKImage.open(name, in: folder.directory) }
}

/// A descriptor around the lines that a test cares about.
func descriptorText(
  createType: String = "monolithicFlat", header: String = "", extents: String, ddb: String = ""
) -> String {
  """
  # Disk DescriptorFile
  version=1
  CID=a1b2c3d4
  parentCID=ffffffff
  createType="\(createType)"
  \(header)
  # Extent description
  \(extents)

  # The Disk Data Base
  #DDB
  \(ddb)

  """
}
