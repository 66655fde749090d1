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
}
