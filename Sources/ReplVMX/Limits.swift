/// Every limit of this module, with its reason.
enum Limits {
  /// Real files are under 20 KiB; the wire carries at most 1 MiB.
  static let fileBytes = 1 << 20
  /// One line in 16 bytes of the largest file.
  static let lines = 64 << 10
  /// VMware's own names are under 60 characters.
  static let nameBytes = 256
  /// What Linux takes as a path.
  static let fileNameBytes = 4096
  /// A VMX with more oddities than this is no clearer for naming them all.
  static let notes = 100
  /// ESXi has ten adapters, Workstation ten; more only costs a few lines.
  static let adapters = 100
}
