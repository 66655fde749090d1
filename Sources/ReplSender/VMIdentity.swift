import ReplDigest
import ReplModel

/// Who stands for a VM that is not known.
enum VMIdentity {
  /// The identity that stands for a path whose VM is not known, or is another path's already.
  static func standIn(for path: String) -> VMID {
    let seed = SHA256Hasher.hash(Array("vmrepl vmx path".utf8) + Array(path.utf8)).bytes
    guard let id = VMID(HexText.encode(seed[0..<16])) else { preconditionFailure("16 bytes are an identity") }
    return id
  }
}
