import ReplIO
import ReplModel
import Testing

@testable import ReplDigest

@Suite struct PageDigesterTests {
  private let key = DigestKey(id: KeyID(high: 1, low: 2), bytes: (0..<32).map { UInt8($0 * 7 + 1) })!

  private func digests(_ bytes: [UInt8], pageSize: Int = 4096, key: DigestKey? = nil) throws -> [PageDigest] {
    let count = (bytes.count + pageSize - 1) / pageSize
    var result = [PageDigest](repeating: PageDigest(low: 9, high: 9), count: count)
    let digester = try PageDigester(key: key ?? self.key)
    try result.withUnsafeMutableBufferPointer { output in
      try bytes.withUnsafeBytes { try digester.digest(pages: $0, pageSizeBytes: pageSize, into: output) }
    }
    return result
  }

  @Test("the MAC is Poly1305 as in RFC 8439, section 2.5.2")
  func vector() throws {
    let key = HexText.decode("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")!
    let mac = try Poly1305(key: key)
    for _ in 0..<2 {
      try mac.begin()
      try Array("Cryptographic Forum Research Group".utf8).withUnsafeBytes { try mac.update($0) }
      #expect(HexText.encode(ModelMap.bytes(try mac.finish())) == "a8061dc1305136c6c22b8baf0c0127a9")
    }
  }

  @Test("the all-zero page has the all-zero digest and others do not", arguments: PageGrid.allowedPageSizes)
  func zeroPages(pageSize: Int) throws {
    var bytes = [UInt8](repeating: 0, count: 4 * pageSize)
    bytes[pageSize] = 1
    bytes[3 * pageSize - 1] = 1
    let found = try digests(bytes, pageSize: pageSize)
    #expect(found.map(\.isZero) == [true, false, false, true])
    #expect(found[1] != found[2])
  }

  @Test("a page that is not zero keeps a digest of its own when its MAC is all-zero")
  func zeroMAC() throws {
    // r = 0 and s = 0: every message has the MAC 0.
    let weak = DigestKey(id: KeyID(high: 0, low: 1), bytes: [UInt8](repeating: 0, count: 32))!
    let found = try digests([1] + [UInt8](repeating: 0, count: 8191), key: weak)
    #expect(found == [PageDigest(low: 1, high: 0), .zero])
  }

  @Test("a short last page is digested as if padded with zeros, and a short zero page is zero")
  func shortPage() throws {
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 31 + 1) }
    let padded = bytes + [UInt8](repeating: 0, count: 8192 - bytes.count)
    #expect(try digests(bytes) == digests(padded))
    #expect(try digests([UInt8](repeating: 0, count: 17)) == [.zero])
    #expect(try digests([]).isEmpty)
  }

  @Test("a page's digest is the MAC of its bytes, low word first")
  func plainMAC() throws {
    let page = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 5) }
    let mac = try Poly1305(key: key.bytes)
    try mac.begin()
    try page.withUnsafeBytes { try mac.update($0) }
    #expect(try digests(page) == [mac.finish()])
  }

  @Test("the digest of a batch is the MAC of its digests' bytes")
  func batch() throws {
    let list = (0..<100).map { PageDigest(low: $0 &* 0x0123_4567_89AB, high: $0 << 40) }
    let mac = try Poly1305(key: key.bytes)
    try mac.begin()
    try list.flatMap(ModelMap.bytes).withUnsafeBytes { try mac.update($0) }
    let expected = try mac.finish()
    let digester = try PageDigester(key: key)
    #expect(try list.withUnsafeBufferPointer { try digester.digest(of: $0) } == expected)
    #expect(try list.dropLast().withUnsafeBufferPointer { try digester.digest(of: $0) } != expected)
  }

  @Test("the zero test finds a single byte anywhere and takes no bytes for zero")
  func zeroTest() {
    var bytes = [UInt8](repeating: 0, count: 513)
    for count in [0, 1, 2, 511, 513] {
      #expect(bytes.withUnsafeBytes { ZeroTest.isZero(UnsafeRawBufferPointer(rebasing: $0[..<count])) })
    }
    for index in bytes.indices {
      bytes[index] = 0x80
      #expect(!bytes.withUnsafeBytes { ZeroTest.isZero($0) }, "byte \(index)")
      bytes[index] = 0
    }
  }

  @Test("SHA-256 gives FIPS 180-4's values, also when a hasher is used again")
  func sha256() {
    let hasher = SHA256Hasher()
    #expect(
      hasher.finalize().description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    for part in ["a", "", "bc"] { Array(part.utf8).withUnsafeBytes { hasher.update($0) } }
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    #expect(hasher.finalize().description == abc)
    #expect(SHA256Hasher.hash(Array("abc".utf8)).description == abc)
  }

  @Test("a record's checksum covers every byte of its parts and the published key is the format page's")
  func recordChecksum() throws {
    let checksum = try RecordChecksum()
    func compute(_ parts: [[UInt8]]) throws -> PageDigest {
      let whole = parts.map { part in
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: part.count, alignment: 1)
        copy.copyBytes(from: part)
        return UnsafeRawBufferPointer(copy)
      }
      defer { for part in whole { part.deallocate() } }
      return try checksum.compute(whole)
    }
    let mac = try Poly1305(key: RecordChecksum.publishedKey)
    try mac.begin()
    try Array("record".utf8).withUnsafeBytes { try mac.update($0) }
    let expected = try mac.finish()
    #expect(try compute([Array("rec".utf8), [], Array("ord".utf8)]) == expected)
    #expect(try compute([Array("recore".utf8)]) != expected)
    #expect(try compute([Array("record".utf8) + [0]]) != expected)
    #expect(try FormatPage.text().contains(HexText.encode(RecordChecksum.publishedKey)))
  }
}

@Suite struct DigestKeyTests {
  @Test("generated keys have 32 bytes, differ, and never show their bytes")
  func generate() throws {
    let (first, second) = (try DigestKey.generate(), try DigestKey.generate())
    #expect(first.bytes.count == 32 && first.bytes != second.bytes && first.id != second.id)
    let hex = HexText.encode(first.bytes)
    for text in [
      "\(first)", String(reflecting: first), "\(Mirror(reflecting: first).children.map { "\($0)" })",
    ] {
      #expect(text.contains("\(first.id)") && !text.contains(hex))
    }
    var dumped = ""
    dump(first, to: &dumped)
    #expect(!dumped.contains("bytes"))
    #expect(DigestKey(id: first.id, bytes: [1, 2, 3]) == nil)
  }

  @Test("a saved key loads again, a missing file is no key")
  func roundTrip() throws {
    let disk = CuttableDisk()
    #expect(try DigestKeyFile.load("key", in: disk) == nil)
    let key = try DigestKey.generate()
    try DigestKeyFile.save(key, as: "key", in: disk)
    #expect(try DigestKeyFile.load("key", in: disk) == key)
  }

  @Test("a key file has the bytes of the format page")
  func golden() {
    let key = DigestKey(
      id: KeyID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF), bytes: Array(0..<32))!
    let bytes = DigestKeyFile.encode(key)
    var expected = Array("VMRPLKEY".utf8)  // magic
    expected += [1, 0, 0, 0]  // version
    expected += [1, 0, 0, 0]  // algorithm
    expected += HexText.decode("00112233445566778899aabbccddeeff")!  // key ID
    expected += Array(0..<32)  // key
    expected += [UInt8](repeating: 0, count: 32)  // reserved
    expected += SHA256Hasher.hash(expected).bytes  // checksum
    #expect(bytes == expected)
  }

  @Test("a key file with any byte changed, cut or extended is damaged, and one of a newer version is foreign")
  func damage() throws {
    let good = DigestKeyFile.encode(try DigestKey.generate())
    for index in good.indices {
      var bytes = good
      bytes[index] ^= 0x10
      #expect(code { try DigestKeyFile.decode(bytes, path: "k") } == .damaged, "byte \(index)")
    }
    #expect(code { try DigestKeyFile.decode(Array(good.dropLast()), path: "k") } == .damaged)
    let disk = CuttableDisk()
    try disk.replaceFile("key", with: good + [0])
    #expect(code { _ = try DigestKeyFile.load("key", in: disk) } == .damaged)
    var fields = HeaderFields(checking: good)!
    fields.put(UInt32(2), at: 8)
    #expect(code { try DigestKeyFile.decode(fields.sealed(), path: "k") } == .foreign)
  }
}

/// The code of the error that `body` throws; nil when it throws none.
func code<Value>(_ body: () throws -> Value) -> DigestError.Code? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? DigestError)?.code
  }
}
