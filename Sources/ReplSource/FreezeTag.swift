import ReplModel

/// What everything of one freeze is called: `vmrepl-<this installation>-<this freeze>`, each 8 hex digits. It
/// is how a leftover is known for ours.
struct FreezeTag: Hashable, Sendable {
  static let product = "vmrepl"

  /// Of the sender that made it.
  let installation: String
  let number: String

  /// A fresh one.
  init(installation: String) {
    self.installation = installation
    number = Self.randomDigits()
  }

  /// Reads exactly the form that `description` writes.
  init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { String($0) }
    guard parts.count == 3, parts[0] == Self.product, Self.isDigits(parts[1]), Self.isDigits(parts[2]) else {
      return nil
    }
    (installation, number) = (parts[1], parts[2])
  }

  /// The tag of a directory of clones.
  init?(directoryName: String) {
    guard directoryName.hasPrefix(".") else { return nil }
    self.init(directoryName.dropFirst())
  }

  /// Hidden, so that programs that look for disks do not look inside.
  var directoryName: String { ".\(self)" }

  /// The clone of the file `index` of a view.
  func cloneName(_ index: Int) -> String { "\(self)-\(index).clone" }

  /// Whether a file in a directory of clones was made by this freeze.
  func names(clone name: String) -> Bool {
    guard name.hasPrefix("\(self)-"), name.hasSuffix(".clone") else { return false }
    let index = name.dropFirst(description.utf8.count + 1).dropLast(".clone".count)
    return !index.isEmpty && index.utf8.allSatisfy { (48...57).contains($0) }
  }

  static func randomDigits() -> String {
    HexText.encode((0..<4).map { _ in UInt8.random(in: .min ... .max) })
  }

  static func isDigits(_ text: some StringProtocol) -> Bool {
    text.utf8.count == 8 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }
}

extension FreezeTag: CustomStringConvertible {
  var description: String { "\(Self.product)-\(installation)-\(number)" }
}
