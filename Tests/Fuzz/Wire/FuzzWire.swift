import ReplModel
import ReplProtocol
import ReplVMX

/// One input: its first byte says what the rest is read as: the number of a message for its payload, `b` for
/// a banner, `s` for a stream of frames, `v` for a VMX.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 0 else { return 0 }
  let rest = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
  switch start[0] {
  case UInt8(ascii: "b"): FuzzedStream(rest).readBanner()
  case UInt8(ascii: "s"): FuzzedStream(rest).readFrames()
  case UInt8(ascii: "v"): FuzzedText.readVMX(rest)
  default:
    guard let type = MessageType(rawValue: start[0]) else { return 0 }
    FuzzedPayload(rest).read(type)
  }
  return 0
}

/// What is refused says so with words that can be printed.
func expectPrintable(_ text: String) {
  precondition(!text.isEmpty && text.utf8.count < 16384)
  precondition(!text.utf8.contains { $0 < 0x20 || $0 == 0x7F })
}

/// A VMX as the receiver gets it from a peer.
enum FuzzedText {
  static func readVMX(_ bytes: [UInt8]) {
    do throws(VMXError) {
      let document = try VMXDocument(parsing: bytes)
      // Values that a VMX has may hold anything; what we say of it may not.
      for warning in document.notes { expectPrintable(warning) }
    } catch { expectPrintable(error.description) }
  }
}
