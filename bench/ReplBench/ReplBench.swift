import Glibc

/// Runs one loop of a pass as the product has it and prints how many GB/s it does. `micro.c` has the same
/// loops, with the same arguments, in C; `scripts/bench` runs both in turns.
@main struct ReplBench {
  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, let loop = loops[arguments[1]] else {
      let names = loops.keys.sorted().joined(separator: "|")
      fail("usage: ReplBench \(names) DATA DISK FOLDER", code: 64)
    }
    do {
      let inputs = try Inputs(dataPath: arguments[2], diskPath: arguments[3], folder: arguments[4])
      print(try loop(inputs))
    } catch {
      fail("ReplBench: \(arguments[1]): \(error)", code: 1)
    }
  }

  private static let loops: [String: @Sendable (Inputs) throws -> Double] = [
    "zero": DigestLoops.zeroTest,
    "digest-4k": { try DigestLoops.digest($0, pageSizeBytes: 4 << 10) },
    "digest-64k": { try DigestLoops.digest($0, pageSizeBytes: 64 << 10) },
    "zstd-pack": { try CodecLoops.pack($0, .zstd) },
    "zstd-unpack": { try CodecLoops.unpack($0, .zstd) },
    "zlib-pack": { try CodecLoops.pack($0, .zlib) },
    "zlib-unpack": { try CodecLoops.unpack($0, .zlib) },
    "tls": TransportLoop.send,
    "journal": { try JournalLoop.append($0, syncs: false) },
    "journal-sync": { try JournalLoop.append($0, syncs: true) },
    "scan": ScanLoop.scan,
  ]

  private static func fail(_ sentence: String, code: Int32) -> Never {
    let bytes = Array("\(sentence)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    exit(code)
  }
}
