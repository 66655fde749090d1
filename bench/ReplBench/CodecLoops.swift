import ReplCompression

/// Packing and unpacking, piece by piece; the rate is that of the unpacked bytes.
enum CodecLoops {
  static func pack(_ inputs: Inputs, _ codec: Codec) throws -> Double {
    let compressor = try Compressor(codec: codec, level: 1)
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Inputs.pieceBytes, alignment: 4096)
    let pieces = inputs.pieces
    return try Rate.measure(bytes: inputs.data.count) {
      for piece in pieces { _ = try compressor.compress(piece, into: room) }
    }
  }

  static func unpack(_ inputs: Inputs, _ codec: Codec) throws -> Double {
    let compressor = try Compressor(codec: codec, level: 1)
    var packed: [UnsafeRawBufferPointer] = []
    for piece in inputs.pieces {
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 4096)
      if let length = try compressor.compress(piece, into: room) {
        packed.append(UnsafeRawBufferPointer(rebasing: room[..<length]))
      }
    }
    guard !packed.isEmpty else { throw BenchError("nothing of the data packs") }
    let decompressor = Decompressor()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Inputs.pieceBytes, alignment: 4096)
    return try Rate.measure(bytes: packed.count * Inputs.pieceBytes) {
      for piece in packed { try decompressor.decompress(codec, piece, into: room) }
    }
  }
}
