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

  /// The extents that a disk of this kind is made of, when it can be read here; otherwise the sentence that
  /// refuses it.
  enum Reading: Equatable {
    case extents(VMDKExtentLine.Kind)
    case refused(String)
  }

  var reading: Reading {
    switch self {
    case .monolithicFlat, .twoGbMaxExtentFlat: .extents(.flat)
    case .vmfs, .vmfsThin, .vmfsPreallocated, .vmfsEagerZeroedThick, .vmfsThick: .extents(.vmfs)
    case .monolithicSparse: .extents(.sparse)
    case .streamOptimized:
      .refused(
        "it is a compressed export, not a disk that a VM runs on: deploy it, or convert it to monolithicFlat")
    case .twoGbMaxExtentSparse:
      .refused("split sparse disks are not read yet: convert it (vmware-vdiskmanager -r DISK -t 3 NEW)")
    case .custom:
      .refused("disks of mixed extents are not read yet: convert it to monolithicFlat")
    case .vmfsSparse, .seSparse:
      .refused(
        "it is the delta of a snapshot, and snapshots are not read yet: delete (consolidate) the snapshot")
    case .vsanSparse:
      .refused(
        "it is a vSAN object that no file holds: delete (consolidate) the snapshot, or move the disk off vSAN"
      )
    case .vmfsRDM:
      .refused(
        "it maps a LUN (RDM, virtual mode) and holds no data: migrate it to a VMDK, or replicate the LUN by"
          + " itself"
      )
    case .vmfsRDMP:
      .refused(
        "it maps a LUN (RDM, physical mode) and holds no data: replicate the LUN by itself, or exclude the"
          + " disk"
      )
    case .vmfsRaw, .fullDevice, .partitionedDevice:
      .refused(
        "it stands for a device of the host, not for a file: replicate the device by itself, or exclude the"
          + " disk"
      )
    }
  }
}
