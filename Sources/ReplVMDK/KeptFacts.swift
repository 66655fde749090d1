import ReplModel

/// Which entries of a disk data base the standby's descriptor may keep.
struct KeptFacts {
  let facts: DiskFacts
  let warnings: [String]

  /// In the order in which the standby's descriptor has them when the source says nothing.
  static let keys = [
    "adapterType", "geometry.cylinders", "geometry.heads", "geometry.sectors", "geometry.biosCylinders",
    "geometry.biosHeads", "geometry.biosSectors", "uuid", "longContentID", "thinProvisioned",
    "virtualHWVersion",
    "toolsVersion", "toolsInstallType", "deletable",
  ]

  init(of entries: [DiskFacts.Entry]) {
    var kept: [DiskFacts.Entry] = []
    var warnings: [String] = []
    for entry in entries {
      let lowered = entry.key.lowercased()
      guard let key = Self.keys.first(where: { $0.lowercased() == lowered }) else { continue }
      guard Self.isSafe(entry.value) else {
        warnings.append("ddb.\(key) has a value that cannot be kept: left out")
        continue
      }
      guard !kept.contains(where: { $0.key == key }) else {
        warnings.append("ddb.\(key) stands there twice: the first is kept")
        continue
      }
      kept.append(DiskFacts.Entry(key: key, value: entry.value))
    }
    facts = DiskFacts(entries: kept)
    self.warnings = warnings
  }

  /// Of a chain, the child's data base first: a key that it lacks is looked up in its parents, as VMware
  /// does.
  init(ofChain dataBases: [[DiskFacts.Entry]]) {
    var merged: [DiskFacts.Entry] = []
    var warnings: [String] = []
    for (index, entries) in dataBases.enumerated() {
      let kept = KeptFacts(of: entries)
      let known = Set(merged.map { Self.group(of: $0.key) })
      // The long content ID speaks of one link's content.
      merged += kept.facts.entries.filter {
        !known.contains(Self.group(of: $0.key)) && (index == 0 || $0.key != "longContentID")
      }
      if index == 0 { warnings = kept.warnings }
    }
    facts = DiskFacts(entries: merged)
    self.warnings = warnings
  }

  /// Half of one geometry with half of another would be no geometry.
  private static func group(of key: String) -> String {
    key.hasPrefix("geometry.") ? "geometry" : key
  }

  /// Printable ASCII without a quote, which would end the value, and without an overlong value.
  static func isSafe(_ value: String) -> Bool {
    value.utf8.count <= Limits.factValueBytes
      && value.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") }
  }
}
