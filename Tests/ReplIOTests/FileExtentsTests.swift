import ReplModel
import Testing

@testable import ReplIO

@Suite("What a filesystem says of extents") struct FileExtentsTests {
  private let range = ByteRange(offset: 1000, length: 1000)

  private func raw(
    _ logical: UInt64, _ length: UInt64, at physical: UInt64, flags: UInt32 = 0
  ) -> FileExtents.Raw {
    FileExtents.Raw(logical: logical, physical: physical, length: length, flags: flags)
  }

  private func shown(_ extents: FileExtents) -> [String] {
    extents.stretches.map { stretch in
      let kind =
        switch stretch.kind {
        case .zero: "zero"
        case .stored(let place): "\(place)"
        case .unknown: "unknown"
        }
      return "\(stretch.range.offset)+\(stretch.range.length) \(kind)"
    }
  }

  @Test("extents are cut to what was asked, and what lies between them is zero")
  func cut() {
    let extents = FileExtents(
      [
        raw(500, 600, at: 70_000), raw(1200, 100, at: 90_000, flags: 0x2000), raw(1900, 500, at: 5, flags: 1),
      ],
      in: range, isCut: false)
    #expect(
      shown(extents) == [
        "1000+100 70500", "1100+100 zero", "1200+100 90000", "1300+600 zero", "1900+100 5",
      ])
    #expect(extents.end == 2000)
  }

  @Test("space that was reserved and never written is zero")
  func unwritten() {
    let extents = FileExtents([raw(1000, 1000, at: 4096, flags: 0x0801)], in: range, isCut: false)
    #expect(shown(extents) == ["1000+1000 zero"])
  }

  @Test(
    "whatever has no place of its own, or a flag that we do not know, is unknown",
    arguments: [0x2, 0x4, 0x8, 0x80, 0x100, 0x200, 0x400, 0x4000, 0x8000_0000] as [UInt32])
  func placeless(_ flag: UInt32) {
    let extents = FileExtents([raw(1000, 1000, at: 4096, flags: flag | 0x2001)], in: range, isCut: false)
    #expect(shown(extents) == ["1000+1000 unknown"])
  }

  @Test("an answer that may go on says nothing of what follows its last extent")
  func goesOn() {
    let extents = FileExtents([raw(1000, 100, at: 4096)], in: range, isCut: true)
    #expect(shown(extents) == ["1000+100 4096"] && extents.end == 1100)
    #expect(shown(FileExtents([], in: range, isCut: false)) == ["1000+1000 zero"])
  }

  @Test("what is no answer to the question makes all of it unknown")
  func nonsense() {
    let bad: [[FileExtents.Raw]] = [
      [raw(1000, 0, at: 1)], [raw(0, 900, at: 1)], [raw(.max, 5, at: 1)], [raw(1000, .max, at: 1)],
      [raw(1000, 100, at: .max - 5)], [raw(1000, 500, at: 1), raw(1200, 500, at: 9000)],
      [raw(1500, 100, at: 1), raw(1000, 100, at: 9000)],
    ]
    for answer in bad {
      #expect(shown(FileExtents(answer, in: range, isCut: false)) == ["1000+1000 unknown"], "\(answer)")
    }
    #expect(shown(FileExtents([], in: range, isCut: true)) == ["1000+1000 unknown"])
  }
}
