import Glibc
import ReplIO

/// The CA certificates of a policy.
enum AuthorityFile {
  static func certificates(path: String) throws(TLSError) -> [Certificate] {
    do throws(TLSError) {
      return try Certificate.chain(pem: try read(path), path: path)
    } catch {
      throw TLSError(.authorityInvalid, "ca_file: \(error.detail)", systemCode: error.systemCode)
    }
  }

  /// The path is the operator's: links are followed, a FIFO is not waited for.
  private static func read(_ path: String) throws(TLSError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw TLSError(.current("open", path: path)) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Limits.authorityFileBytes + 1)
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress! + count, $0.count - count)
      }
      if got == 0 { return Array(bytes[..<count]) }
      if got > 0 {
        count += got
      } else if errno != EINTR {
        throw TLSError(.current("read", path: path))
      }
    }
    throw TLSError(
      IOError(.limit, "read", path: path, detail: "at most \(Limits.authorityFileBytes) bytes are allowed"))
  }
}
