import ReplIO
import ReplModel

@testable import ReplVMDK

/// One input: its first byte says what the rest is read as, from 0x80 on which seed it changes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 0 else { return 0 }
  let input = UnsafeBufferPointer(start: start, count: count)
  let whole = input[0] & 0x80 == 0 ? Array(input) : PatchedSeed.image(from: input)
  let image = FuzzedImage(Array(whole.dropFirst()))
  switch whole[0] % 4 {
  case 0: image.parse()
  case 1: image.read(.sparse)
  case 2: image.read(.vmfsSparse)
  default: image.read(.seSparse)
  }
  return 0
}
