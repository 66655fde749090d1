import ReplModel
import Testing

@testable import ReplFailover

@Suite struct RegistrationFilesTests {
  @Test("content identities differ from pass to pass and are never the two reserved values")
  func contentIdentity() {
    let disk = DiskID(high: 1, low: 2)
    let ids = (0..<1000).map { _ in RegistrationFiles.contentID(disk: disk, pass: .random()) }
    #expect(Set(ids).count > 990)
    let pass = PassID(high: 0, low: 0)
    for low in [UInt64(0xFFFF_FFFF), 0xFFFF_FFFE] {
      let id = RegistrationFiles.contentID(disk: DiskID(high: 0, low: low), pass: pass)
      #expect(id < 0xFFFF_FFFE)
    }
  }
}
