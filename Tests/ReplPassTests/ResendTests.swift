import Foundation
import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplTestKit
import ReplTransport
import Synchronization
import Testing

@testable import ReplPass

/// Batches that arrive damaged although TLS was content: memory, a bug, a bad card.
@Suite(.serialized) struct ResendTests {
  static let grid = PageGrid(sizeBytes: 64 << 10, pageSizeBytes: 4096)!

  /// A source that speaks by hand.
  struct HandSource {
    let conversation: Conversation
    let key: DigestKey
    let offer: Offer

    init(_ pair: Pair) throws {
      let connection = try pair.connect()
      conversation = Conversation(connection, role: .source)
      let hello = Hello(
        product: "0.1.0", protocolVersion: connection.protocolVersion, role: .source, digestKeyOnFile: nil,
        wallTime: SystemTime().wallTime())
      try conversation.send(hello)
      let answer = try conversation.expect(Hello.self, seconds: 5)
      conversation.agree(
        on: try Agreement(local: hello, remote: answer, now: SystemTime().wallTime()).features)
      key = try DigestKey.generate()
      try conversation.send(KeyMessage(key: .init(id: key.id, bytes: key.bytes)))
      offer = Offer(
        vm: Pair.vm, displayName: "web01", pass: .random(), view: .random(),
        frozenAt: SystemTime().wallTime(),
        label: .crashConsistent, epoch: nil,
        disks: [
          Offer.Disk(
            disk: Pair.disks[0], slot: DiskSlot("scsi0:0")!, grid: ResendTests.grid, keyID: key.id,
            facts: DiskFacts(entries: []))
        ], vmxHash: SHA256Hasher.hash([1]), nvramHash: nil)
      try conversation.send(offer)
      _ = try conversation.expect(Accept.self, seconds: 5)
      try conversation.send(.file, prefix: FileMessage.encodePrefix(.vmx) + [1])
    }

    /// Sends page 3 with `bytes`, and the digest of `announced`.
    func sendPage(_ bytes: [UInt8], announced: [UInt8]) throws -> PageDigest {
      let digester = try PageDigester(key: key)
      var digests = [PageDigest.zero]
      try announced.withUnsafeBytes { data in
        try digests.withUnsafeMutableBufferPointer {
          try digester.digest(pages: data, pageSizeBytes: 4096, into: $0)
        }
      }
      let digest = try digests.withUnsafeBufferPointer { try digester.digest(of: $0) }
      let prefix = try BatchMessage.encodePrefix(
        diskIndex: 0, grid: ResendTests.grid, codec: .raw,
        runs: [PageRun(kind: .data, firstPage: 3, pageCount: 1)], digest: digest, payloadLength: bytes.count)
      _ = try bytes.withUnsafeBytes { try conversation.send(.batch, prefix: prefix, body: $0) }
      return digests[0]
    }

    func commit(root: Root, batches: Int64, resendsAnswered: Int64) throws {
      let disk = Commit.Disk(disk: Pair.disks[0], root: root, dataPages: batches, zeroPages: 0)
      try conversation.send(Commit(disks: [disk], batches: batches, resendsAnswered: resendsAnswered))
    }
  }

  /// The root of a map that holds only page 3.
  private func root(_ digest: PageDigest, key: DigestKey) throws -> Root {
    let machine = SimulatedMachine(disks: ["maps"])
    let format = DigestMapFormat(disk: Pair.disks[0], grid: Self.grid, keyID: key.id)
    let map = try DigestMap.create("m", in: machine.disk("maps"), format: format)
    var leaf = [PageDigest](repeating: .zero, count: Int(Self.grid.pageCount))
    leaf[3] = digest
    try leaf.withUnsafeBufferPointer { try map.writeLeaf(0, $0) }
    return try map.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: .random())
  }

  @Test(
    "a damaged batch is asked for again, a commit that crossed the request is void, and the point is right")
  func resend() throws {
    let pair = try Pair()
    defer { pair.end() }
    let source = try HandSource(pair)
    let right = PageMaker.random(byteCount: 4096, seed: 5)
    var wrong = right
    wrong[100] ^= 1
    let digest = try source.sendPage(wrong, announced: right)
    let root = try root(digest, key: source.key)
    // Sent before the request is read: the receiver must not take it.
    try source.commit(root: root, batches: 1, resendsAnswered: 0)
    let asked = try source.conversation.expect(Resend.self, seconds: 5)
    #expect(asked.pages == [Resend.Pages(first: 3, count: 1)])
    _ = try source.sendPage(right, announced: right)
    try source.commit(root: root, batches: 2, resendsAnswered: 1)
    let committed = try source.conversation.expect(Committed.self, seconds: 10)
    #expect(committed.point.disks[0].root == root)
    _ = try source.conversation.expect(Settled.self, seconds: 10)
    try source.conversation.send(Goodbye())
    source.conversation.connection.close()
  }

  @Test("a page that arrives damaged again and again ends the pass, and nothing is committed")
  func tooOften() throws {
    let pair = try Pair()
    defer { pair.end() }
    let source = try HandSource(pair)
    let right = PageMaker.random(byteCount: 4096, seed: 6)
    var wrong = right
    wrong[0] ^= 0x80
    let error = #expect(throws: PassError.self) {
      for _ in 0..<10 {
        _ = try source.sendPage(wrong, announced: right)
        _ = try source.conversation.expect(Resend.self, seconds: 5)
      }
    }
    guard case .wire(.peer(let number, _, _)) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(number == ErrorNumber.damaged.rawValue)
    #expect(try pair.store().standbys().first?.catalog?.newest == nil)
  }

  @Test("passes that begin together agree on one digest key")
  func oneKey() throws {
    let machine = SimulatedMachine(disks: ["state"])
    let state = try SourceState(root: machine.disk("state"))
    let found = Mutex<[DigestKey]>([])
    let threads = (0..<8).map { _ in
      NamedThread.start("key") {
        do {
          let key = try state.digestKey { () throws(PassError) in
            do throws(DigestError) { return try DigestKey.generate() } catch { throw .digest(error) }
          }
          found.withLock { $0.append(key) }
        } catch { Issue.record("\(error)") }
      }
    }
    for thread in threads { thread.join() }
    let keys = found.withLock { $0 }
    #expect(keys.count == 8 && Set(keys.map(\.id)).count == 1)
    #expect(try SourceState(root: machine.disk("state")).digestKey == keys[0])
  }
}
