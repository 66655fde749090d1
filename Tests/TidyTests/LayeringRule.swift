/// Which target may import what. The table of the design page, section 4; SwiftPM does not hold it, because
/// an undeclared transitive import builds.
enum LayeringRule {
  struct Layer: Sendable {
    let level: Int
    /// Modules that are not ours, besides those that everybody may import.
    let external: Set<String>
  }

  private static func layer(_ level: Int, _ external: String...) -> Layer {
    Layer(level: level, external: Set(external))
  }

  /// Imports of our modules point strictly down.
  static let layers: [String: Layer] = [
    "COpenSSL": layer(0), "CZlib": layer(0), "CZstd": layer(0), "CLinux": layer(0),
    "ReplModel": layer(0),
    "ReplIO": layer(1, "Glibc"),
    "ReplTLS": layer(1, "Glibc"),
    "ReplCompression": layer(1, "Glibc"),
    "ReplDigest": layer(1, "Glibc"),
    "ReplVMDK": layer(2, "Glibc"),
    "ReplVMX": layer(2),
    "ReplProtocol": layer(2, "FoundationEssentials"),
    "ReplStandby": layer(2, "Glibc", "FoundationEssentials"),
    "ReplCommand": layer(2, "Glibc", "Subprocess", "SystemPackage", "System"),
    "ReplTransport": layer(3, "Glibc"),
    "ReplSource": layer(3, "Glibc", "FoundationEssentials"),
    "ReplFailover": layer(3, "Glibc", "FoundationEssentials"),
    "ReplPass": layer(4, "Glibc", "FoundationEssentials"),
    "ReplService": layer(
      4, "Glibc", "FoundationEssentials", "Logging", "ServiceLifecycle", "Yams", "NIOCore", "NIOPosix",
      "NIOHTTP1"),
    "ReplSender": layer(
      5, "Glibc", "FoundationEssentials", "ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals"),
    "ReplReceiver": layer(
      5, "Glibc", "FoundationEssentials", "ArgumentParser", "Logging", "ServiceLifecycle", "UnixSignals"),
    "ReplBench": layer(5, "Glibc"),
    "ReplTestKit": layer(6, "Glibc", "Foundation", "FoundationEssentials", "Testing"),
  ]

  static let everybody: Set<String> = ["Swift", "Synchronization", "_Concurrency"]

  /// One Swift target wraps a C library; libcrypto has two wrappers, for TLS and for digests.
  static let cModules: [String: Set<String>] = [
    "COpenSSL": ["ReplTLS", "ReplDigest"],
    "CZlib": ["ReplCompression"],
    "CZstd": ["ReplCompression"],
    "CLinux": ["ReplIO"],
  ]

  struct Exception: Sendable {
    let target: String
    let module: String
    let reason: String
  }

  /// Imports within a level.
  static let sideways = [
    Exception(target: "ReplTLS", module: "ReplIO", reason: "key files are written durably, deadlines"),
    Exception(target: "ReplDigest", module: "ReplIO", reason: "digest maps are files"),
  ]

  /// Never, whatever the levels say.
  static let never: [(target: String, module: String, reason: String)] = [
    ("ReplDigest", "ReplVMDK", "it sees disks only as BlockReadable and BlockWritable"),
    ("ReplStandby", "ReplVMDK", "the receiver hands it the descriptor writer"),
  ]

  static func check(_ file: SourceFile) -> [Finding] {
    guard file.part == .sources else { return [] }
    guard let layer = layers[file.target] else {
      return [finding(file, 1, "the target \(file.target) is not in the layering table; give it a level")]
    }
    return imports(of: file).compactMap { line, module in
      advice(file.target, layer, module).map { finding(file, line, $0) }
    }
  }

  private static func advice(_ target: String, _ layer: Layer, _ module: String) -> String? {
    if let ban = never.first(where: { $0.target == target && $0.module == module }) {
      return "\(target) never imports \(module): \(ban.reason)"
    }
    if let users = cModules[module], !users.contains(target) {
      return
        "\(module) is imported only by \(users.sorted().joined(separator: ", ")); call that target instead"
    }
    if let other = layers[module] {
      let isException = sideways.contains { $0.target == target && $0.module == module }
      guard other.level >= layer.level, !isException else { return nil }
      return "\(target) (level \(layer.level)) imports \(module) (level \(other.level)); imports point down: "
        + "move what is shared to a lower target, or hand it over from above"
    }
    guard !everybody.contains(module), !layer.external.contains(module) else { return nil }
    let allowed = layer.external.sorted().joined(separator: ", ")
    let may = allowed.isEmpty ? "no module that is not ours" : allowed
    return "\(target) may not import \(module); besides ours it may import \(may)"
  }

  /// `import X`, `@preconcurrency import X`, `public import X`, `import struct X.Y`.
  static func imports(of file: SourceFile) -> [(line: Int, module: String)] {
    let kinds: Set<Substring> = [
      "struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor",
    ]
    return file.text.code.enumerated().compactMap { index, line in
      var words = line.split(separator: " ")[...]
      while let word = words.first, word != "import" {
        guard
          word.hasPrefix("@") || ["public", "internal", "private", "package", "fileprivate"].contains(word)
        else { return nil }
        words.removeFirst()
      }
      guard words.popFirst() == "import", var name = words.popFirst() else { return nil }
      if kinds.contains(name), let next = words.popFirst() { name = next }
      return (index + 1, String(name.prefix { $0 != "." && $0 != ";" }))
    }
  }

  private static func finding(_ file: SourceFile, _ line: Int, _ advice: String) -> Finding {
    Finding(path: file.path, line: line, rule: "layering", advice: advice)
  }
}
