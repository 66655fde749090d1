import ReplModel

/// What a running daemon takes up of a changed configuration.
extension SenderConfig {
  /// This configuration as far as it can be in force without a restart, where `running` is; and the keys
  /// whose new values wait for the next start.
  public func taken(by running: SenderConfig) -> (config: SenderConfig, waiting: [String]) {
    var config = self
    var waiting: [String] = []
    func keep<Value: Equatable>(_ value: WritableKeyPath<SenderConfig, Value>, _ key: String) {
      guard config[keyPath: value] != running[keyPath: value] else { return }
      config[keyPath: value] = running[keyPath: value]
      waiting.append(key)
    }
    keep(\.stateDirectory, "state_dir")
    keep(\.receiver, "receiver")
    keep(\.http, "http")
    keep(\.maximumConcurrentPasses, "max_concurrent_passes")
    keep(\.pageSizeBytes, "page_size")
    keep(\.compression, "compression")
    return (config, waiting)
  }

  /// Where a daemon with this file serves its status, as far as can be told of a file that is wrong; nil when
  /// it does not.
  public static func statusAddress(path: String) -> NetworkAddress? {
    let standard = SenderConfigSchema.statusAddress
    // A file that is not there is no configuration of any daemon; what is wrong with it, `load` says.
    guard let bytes = try? ConfigFile.read(path: path) else { return nil }
    // As above.
    guard let root = try? ConfigDocument.parse(bytes, path: path).root else { return standard }
    guard case .mapping(let entries) = root.content else { return standard }
    let reader = ConfigReader()
    return reader.statusAddress(
      ConfigScope(node: root, entries: entries, reader: reader), default: standard)
  }
}
