import Glibc
import ReplIO

/// A good image with a few numbers changed: what random bytes seldom reach.
///
/// An input of this kind is short: 0x80 plus the number of a seed, then for each change two bytes that choose
/// one of the seed's places and eight that are put there. Places are where neighbouring words differ:
/// headers, tables and markers, not the insides of grains.
struct PatchedSeed: Sendable {
  /// The order is part of the format of inputs: add at the end.
  static let names = [
    "kdmv", "kdmv-two-copies", "kdmv-zeroed", "stream-footer", "stream-front", "cowd", "sesparse",
  ]

  private static let all: [PatchedSeed] = names.map { PatchedSeed(named: $0) }
  private static let changeBytes = 10

  private let bytes: [UInt8]
  private let places: [Int]

  private init(named name: String) {
    // scripts/fuzz starts at the root of the repository.
    let file = open("Tests/Fuzz/seeds/" + name, O_RDONLY)
    precondition(file >= 0, "the seed \(name) is missing: start this with scripts/fuzz")
    defer { close(file) }
    var room = [UInt8](repeating: 0, count: 1 << 20)
    let count = Glibc.read(file, &room, room.count)
    precondition(count > 0 && count < room.count)
    let bytes = Array(room[..<count])
    self.bytes = bytes
    // The first byte says what the rest is, so words are aligned to the second.
    places = stride(from: 1, to: bytes.count - 16, by: 4).filter { place in
      bytes[place..<(place + 4)] != bytes[(place + 4)..<(place + 8)]
    }
  }

  /// The image that an input stands for, with the byte in front that says what it is.
  static func image(from input: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    let seed = all[Int(input[0] & 0x7F) % all.count]
    var bytes = seed.bytes
    var next = 1
    while next + changeBytes <= input.count {
      let choice = Int(input[next]) | Int(input[next + 1]) << 8
      let place = seed.places[choice % seed.places.count] + (choice & 0x8000 == 0 ? 0 : 4)
      for index in 0..<8 { bytes[place + index] = input[next + 2 + index] }
      next += changeBytes
    }
    return bytes
  }
}
