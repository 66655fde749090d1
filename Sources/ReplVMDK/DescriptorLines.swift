/// The lines of a descriptor that say something, with their numbers: comments and blank lines are gone.
struct DescriptorLines {
  struct Line {
    let number: Int
    /// Without blanks at either end.
    let text: ArraySlice<UInt8>
  }

  let lines: [Line]
  let hasSignature: Bool

  init(_ bytes: [UInt8], path: String) throws(VMDKError) {
    var body = bytes[...]
    if body.starts(with: [0xEF, 0xBB, 0xBF]) { body = body.dropFirst(3) }
    if let end = body.firstIndex(of: 0), body[end...].count(where: { $0 != 0 }) <= Limits.staleBytes {
      body = body[..<end]
    }
    var found: [Line] = []
    var signature = false
    var number = 0
    while !body.isEmpty {
      number += 1
      guard number <= Limits.descriptorLines else {
        throw VMDKError(
          .tooManyLines, path, "more than \(Limits.descriptorLines) lines: this is no VMDK descriptor")
      }
      let end = body.firstIndex(of: UInt8(ascii: "\n")) ?? body.endIndex
      let text = Blank.trim(body[body.startIndex..<end])
      body = end < body.endIndex ? body[(end + 1)...] : []
      if text.first == UInt8(ascii: "#") { signature = signature || VMDKDescriptor.isSignature(text) }
      if text.isEmpty || text.first == UInt8(ascii: "#") { continue }
      found.append(Line(number: number, text: text))
    }
    lines = found
    hasSignature = signature
  }
}

/// What separates words in a descriptor.
enum Blank {
  static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
  }

  static func trim(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var rest = text.drop(while: isBlank)
    while let last = rest.last, isBlank(last) { rest.removeLast() }
    return rest
  }
}
