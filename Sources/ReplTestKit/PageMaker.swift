/// Page contents for tests: the same seed gives the same bytes.
public enum PageMaker {
  /// Bytes that no codec shrinks.
  public static func random(byteCount: Int, seed: UInt64) -> [UInt8] {
    var source = SeededRandom(seed: seed)
    var words = [UInt64](repeating: 0, count: (byteCount + 7) / 8)
    for index in words.indices { words[index] = source.next() }
    return words.withUnsafeBytes { Array($0.prefix(byteCount)) }
  }

  /// Bytes that shrink well: one short line over and over, never zero.
  public static func text(byteCount: Int, seed: UInt64) -> [UInt8] {
    let line = Array("line \(seed) of a page that compresses\n".utf8)
    var bytes = [UInt8](repeating: line[0], count: byteCount)
    bytes.withUnsafeMutableBufferPointer { buffer in
      for index in buffer.indices { buffer[index] = line[index % line.count] }
    }
    return bytes
  }
}
