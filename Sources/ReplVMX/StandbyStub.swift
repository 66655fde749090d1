import ReplModel

/// The VMX of a standby: the source's, without whatever belongs to the source's host, with the standby's
/// disks.
///
/// The rules are the table `StubRules`. Nothing that a value holds can become a line of its own: every value
/// is written with VMware's escapes.
public enum StandbyStub {
  /// What the stub is made from.
  public struct Input: Sendable {
    /// A replicated disk of the standby.
    public struct Disk: Hashable, Sendable {
      public let slot: DiskSlot
      /// The descriptor's name beside the stub.
      public let descriptorFileName: String

      public init(slot: DiskSlot, descriptorFileName: String) {
        self.slot = slot
        self.descriptorFileName = descriptorFileName
      }
    }

    /// The source's VMX.
    public var source: [UInt8]
    public var disks: [Disk]
    /// The NVRAM's name beside the stub; nil when there is none.
    public var nvramFileName: String?
    /// Network names at the source to names at the standby's site. For an adapter at a distributed switch,
    /// which has no network name, the port group's ID stands for it.
    public var networkMap: [String: String]
    /// Put after the display name, such as ` (standby)`.
    public var displayNameSuffix: String
    /// Used when the source has no display name.
    public var fallbackDisplayName: String

    public init(
      source: [UInt8], disks: [Disk], nvramFileName: String? = nil, networkMap: [String: String] = [:],
      displayNameSuffix: String = "", fallbackDisplayName: String = "standby"
    ) {
      self.source = source
      self.disks = disks
      self.nvramFileName = nvramFileName
      self.networkMap = networkMap
      self.displayNameSuffix = displayNameSuffix
      self.fallbackDisplayName = fallbackDisplayName
    }
  }

  /// A line of the source that the stub does not have.
  public struct Dropped: Hashable, Sendable {
    /// The name as written, made printable; for a line that does not parse, its beginning.
    public let key: String
    public let reason: String
  }

  /// The stub, and what was left out of it.
  public struct Output: Sendable {
    /// UTF-8, LF, no byte order mark, `.encoding` in the first line.
    public let bytes: [UInt8]
    /// In the order of the source.
    public let dropped: [Dropped]
    /// Disks that are attached at the source and not among the input's: excluded, or not copied completely
    /// yet. The stub has them as absent and its annotation names them.
    public let excludedDisks: [DiskSlot]
    /// As of `VMXDocument`.
    public let notes: [String]
  }

  /// Makes the stub. The same input gives the same bytes.
  /// - Throws: when the source is over the limits of a VMX, or a name of the standby is no plain file name.
  ///   What a source says otherwise never makes it fail: it is dropped and reported.
  public static func make(_ input: Input) throws(VMXError) -> Output {
    for name in input.disks.map(\.descriptorFileName) + [input.nvramFileName].compactMap({ $0 }) {
      try check(name)
    }
    let document = try VMXDocument(parsing: input.source)
    var plan = StubPlan()
    var disks = StubDisks(
      document,
      replicated: Dictionary(input.disks.map { ($0.slot, $0.descriptorFileName) }) { first, _ in first })
    identify(input, document, &plan)
    disks.plan(into: &plan)
    StubNetwork(document: document, map: input.networkMap).plan(into: &plan)
    annotate(document, excluded: disks.excluded, &plan)
    var writer = StubWriter(document: document, plan: plan)
    writer.write()
    // Escapes can make a text longer; what is written must be readable again.
    guard writer.bytes.count <= Limits.fileBytes else {
      throw VMXError(
        .tooLarge,
        "the stub would have \(writer.bytes.count) bytes (at most \(Limits.fileBytes)): shorten the VMX")
    }
    return Output(
      bytes: writer.bytes, dropped: writer.dropped, excludedDisks: disks.excluded, notes: document.notes)
  }

  private static func check(_ name: String) throws(VMXError) {
    let isPlain =
      !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 255
      && name.utf8.allSatisfy {
        $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\")
      }
    guard isPlain else {
      throw VMXError(
        .badStandbyName,
        "\"\(SafeText.printable(name, limit: 64))\" is no plain file name: a stub names only files beside it")
    }
  }

  private static func identify(_ input: Input, _ document: VMXDocument, _ plan: inout StubPlan) {
    let name = document.displayName.flatMap { $0.isEmpty ? nil : $0 } ?? input.fallbackDisplayName
    plan.set("displayName", name + input.displayNameSuffix)
    for rule in StubRules.all {
      // These two must be there even when the source has no such line.
      if case .set(let value) = rule.action, ["uuid.action", "msg.autoAnswer"].contains(rule.pattern.text) {
        plan.set(rule.pattern.text, value)
      }
    }
    if let nvram = input.nvramFileName {
      plan.set("nvram", nvram)
    } else {
      plan.object(to: "nvram", "the file is not copied")
    }
  }

  private static func annotate(_ document: VMXDocument, excluded: [DiskSlot], _ plan: inout StubPlan) {
    var lines = [document["annotation"] ?? ""].filter { !$0.isEmpty }
    if !excluded.isEmpty {
      lines.append(
        "Not in this copy (excluded from replication, or not copied completely yet): "
          + excluded.map(\.description).joined(separator: ", "))
    }
    if !lines.isEmpty { plan.set("annotation", lines.joined(separator: "\n")) }
  }
}
