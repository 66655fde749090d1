import COpenSSL
import Glibc

/// OpenSSL's streams over memory, for reading and writing PEM.
enum MemoryBIO {
  /// Runs `body` with a stream that reads `bytes`.
  static func reading<Value>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Value?) -> Value? {
    bytes.withUnsafeBytes { buffer in
      guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else { return nil }
      defer { BIO_free(bio) }
      return body(bio)
    }
  }

  /// What `body` wrote; nil when it answers false.
  static func writing(_ body: (OpaquePointer) -> Bool) -> [UInt8]? {
    // Secure memory is wiped when it is given back: keys pass through here.
    guard let bio = BIO_new(BIO_s_secmem()) else { return nil }
    defer { BIO_free(bio) }
    guard body(bio) else { return nil }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = BIO_read(bio, &chunk, Int32(chunk.count))
      guard count > 0 else { break }
      bytes += chunk[..<Int(count)]
    }
    wipe(&chunk)
    return bytes
  }

  /// Zeroes a secret in a way that the compiler may not leave out.
  static func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
  }
}
