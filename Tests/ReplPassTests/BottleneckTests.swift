import Glibc
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass

/// One stage of a whole pass over real TLS is made slow, and the pass says which.
@Suite(.serialized) struct BottleneckTests {
  /// Does not compress.
  private static func noise(seed: UInt64) -> [UInt8] {
    var random = SeededRandom(seed: seed)
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      let words = UnsafeMutableRawBufferPointer(buffer).bindMemory(to: UInt64.self)
      for index in words.indices { words[index] = random.next() }
      count = byteCount
    }
  }

  private static let byteCount = 4 << 20

  @Test("a slow source, a slow link and slow storage at the receiver are told apart")
  func stages() throws {
    let pair = try Pair()
    defer { pair.end() }
    let source = MemoryDisk(Self.noise(seed: 1)) { _ in usleep(400_000) }
    let read = try pair.pass(pair.view([source])).pass
    #expect(read.bottleneck == .sourceRead, "\(String(describing: read.stages))")
    #expect((read.stages?.sourceRead ?? 0) >= 1.5)

    let proxy = try FaultyProxy(to: pair.port, isNarrow: true)
    defer { proxy.stop() }
    proxy.limit(bytesPerSecond: 3e6)
    let link = try pair.pass(pair.view([MemoryDisk(Self.noise(seed: 2))]), through: proxy.port).pass
    #expect(link.bottleneck == .link, "\(String(describing: link.stages))")
    #expect((link.stages?.link ?? 0) > 0.8)

    pair.wrapRoot { SlowDirectory($0, microsecondsPerWrite: 20_000) }
    try pair.startReceiver()
    let target = try pair.pass(pair.view([MemoryDisk(Self.noise(seed: 3))])).pass
    #expect(target.bottleneck == .targetWrite, "\(String(describing: target.stages))")
    // Not only settling: what the sender waited for before that was the storage, too.
    #expect((target.stages?.targetWrite ?? 0) > 0.8 && (target.stages?.link ?? 1) < 0.3)
  }
}
