extension ReceiverConfigSchema {
  private static let limitKeys = ["connections_per_peer", "passes", "passes_per_peer", "vms_per_peer"]
  /// A connection costs two threads, and the listener takes 4096 connections at most.
  private static let connectionBounds = 1...1024
  /// A pass costs some MiB and a dozen descriptors: 256 of them stay within what a small machine has.
  private static let passBounds = 1...256
  /// Every standby is looked at when one is made and when the status is asked for.
  private static let vmBounds = 1...20_000

  func limits(_ node: ConfigNode) -> ReceiverConfig.Limits? {
    guard let scope = reader.mapping(node, keys: Self.limitKeys, hint: "a mapping with passes and others")
    else { return nil }
    var limits = ReceiverConfig.Limits()
    let fields: [(String, WritableKeyPath<ReceiverConfig.Limits, Int>, ClosedRange<Int>)] = [
      ("connections_per_peer", \.connectionsPerPeer, Self.connectionBounds),
      ("passes", \.passes, Self.passBounds), ("passes_per_peer", \.passesPerPeer, Self.passBounds),
      ("vms_per_peer", \.vmsPerPeer, Self.vmBounds),
    ]
    for (key, path, bounds) in fields {
      guard let node = scope.optional(key) else { continue }
      guard let value = reader.integer(node, in: bounds) else { return nil }
      limits[keyPath: path] = value
    }
    let given = scope.optional("passes_per_peer")
    // Where only the total is given, one sender alone may use all of what it may have.
    if given == nil { limits.passesPerPeer = min(limits.passesPerPeer, limits.passes) }
    guard limits.passesPerPeer <= limits.passes else {
      reader.problem(
        given ?? node,
        "\(limits.passesPerPeer) passes of one peer, but only \(limits.passes) in all: raise passes")
      return nil
    }
    return limits
  }
}
