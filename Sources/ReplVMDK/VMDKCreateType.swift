/// The kinds of disk that a descriptor's `createType` can name.
public enum VMDKCreateType: String, Sendable, CaseIterable {
  case monolithicFlat, monolithicSparse, twoGbMaxExtentFlat, twoGbMaxExtentSparse, streamOptimized
  case vmfs, vmfsThin, vmfsPreallocated, vmfsEagerZeroedThick, vmfsThick
  case vmfsSparse, seSparse, vsanSparse
  case vmfsRDM, vmfsRDMP, vmfsRaw, fullDevice, partitionedDevice
  case custom

  /// Reads the name in any case, with the other spellings that exist; nil when nobody uses such a name.
  public init?(_ text: String) {
    let lowered = text.lowercased()
    if let known = Self.allCases.first(where: { $0.rawValue.lowercased() == lowered }) {
      self = known
      return
    }
    switch lowered {
    case "2gbmaxextentflat": self = .twoGbMaxExtentFlat
    case "2gbmaxextentsparse": self = .twoGbMaxExtentSparse
    case "vmfssesparse": self = .seSparse
    case "vmfsrawdevicemap": self = .vmfsRDM
    case "vmfspassthroughrawdevicemap": self = .vmfsRDMP
    default: return nil
    }
  }
}

extension VMDKCreateType {
  /// Whether a disk of this kind can be read here; the sentences say what to do where it cannot.
  enum Reading: Equatable {
    case files
    /// Only with a device of this machine in place of the extent.
    case devices(String)
    case refused(String)
  }

  var reading: Reading {
    switch self {
    case .vsanSparse:
      .refused(
        "it is a vSAN object that no file holds: delete (consolidate) the snapshot, or move the disk off vSAN"
      )
    case .vmfsRDMP:
      .refused(
        "it maps a LUN (RDM, physical mode) and holds no data: replicate the LUN by itself, or exclude the"
          + " disk"
      )
    case .vmfsRDM:
      .devices(
        "it maps a LUN (RDM, virtual mode) and holds no data: name the LUN's block device here in the"
          + " settings, migrate the disk to a VMDK, or exclude it"
      )
    case .vmfsRaw, .fullDevice, .partitionedDevice:
      .devices(
        "it stands for a device of the host, not for a file: name the block device here in the settings, or"
          + " exclude the disk"
      )
    default: .files
    }
  }

  /// The extents that a disk of this kind is made of.
  var extentKinds: [VMDKExtentLine.Kind] {
    switch self {
    case .monolithicFlat, .twoGbMaxExtentFlat, .fullDevice: [.flat]
    case .partitionedDevice: [.flat, .zero]
    case .vmfs, .vmfsThin, .vmfsPreallocated, .vmfsEagerZeroedThick, .vmfsThick: [.vmfs]
    case .monolithicSparse, .twoGbMaxExtentSparse, .streamOptimized: [.sparse]
    case .vmfsSparse: [.vmfsSparse]
    case .seSparse: [.seSparse]
    case .vsanSparse: [.vsanSparse]
    case .vmfsRDM, .vmfsRDMP: [.vmfsRDM]
    case .vmfsRaw: [.vmfsRaw]
    case .custom: [.flat, .sparse, .zero, .vmfs, .vmfsSparse, .seSparse]
    }
  }

  /// The disk is one sparse image, which mostly embeds its descriptor.
  var isOneImage: Bool { self == .monolithicSparse || self == .streamOptimized }

  /// Whether the extent is no file: a partition table beside the descriptor is the one file of a partitioned
  /// device.
  func isDevice(_ extent: VMDKExtentLine) -> Bool {
    switch self {
    case .vmfsRDM, .vmfsRDMP, .vmfsRaw, .fullDevice: true
    case .partitionedDevice:
      extent.kind == .flat
        && (extent.namesDevice || PathText.isAbsolute(PathText.slashed(extent.fileName ?? "")))
    default: extent.namesDevice
    }
  }
}
