import ReplIO
import ReplModel

/// Why a disk cannot be read, or a standby's descriptor not be written: what is wrong, in which file, where,
/// and what to do about it.
public struct VMDKError: ActionableError, Hashable {
  /// Where in the file.
  public enum Place: Hashable, Sendable {
    /// Line of the descriptor, from 1.
    case line(Int)
    /// Sector of 512 bytes, from 0.
    case sector(Int64)
  }

  public let code: Code
  /// Relative to the VM's folder; made printable.
  public let path: String
  public let place: Place?
  /// For people: what was found, what was expected, the next step.
  public let detail: String
  /// The refusal of the operating system, for `.io` and `.missingFile`.
  public let cause: IOError?

  init(_ code: Code, _ path: String, _ place: Place?, _ detail: String, cause: IOError? = nil) {
    self.code = code
    self.path = SafeText.printable(path, limit: 1024)
    self.place = place
    self.detail = detail
    self.cause = cause
  }

  init(_ code: Code, _ path: String, _ detail: String) { self.init(code, path, nil, detail) }

  public var description: String {
    switch place {
    case nil: "\(path): \(detail)"
    case .line(let number): "\(path): line \(number): \(detail)"
    case .sector(let number): "\(path): sector \(number): \(detail)"
    }
  }

  /// What only a person can change stops the VM. What the next pass may find mended (a file that is being
  /// rewritten, a snapshot that a backup program takes for an hour) ends this pass only.
  public var remedy: Remedy {
    switch code {
    case .unknownCreateType, .unsupportedCreateType, .unsupportedFormat, .encrypted, .nameLeavesFolder,
      .unsafeName, .ambiguousName, .noAccess, .notABlockDevice, .symbolicLink, .notARegularFile,
      .unknownEncoding, .sizeNotInSectors, .badStandbyName:
      .stopVM
    default: cause?.remedy ?? .abandonPass
    }
  }
}

extension VMDKError {
  /// The closed set of reasons.
  public enum Code: Hashable, Sendable, CaseIterable {
    // The descriptor's text.
    case notADescriptor, descriptorTooLarge, tooManyLines, strayNUL, unreadableLine, missingQuote
    case duplicateKey, missingKey, badVersion, badContentID, unknownEncoding, undecodableName
    // What kind of disk it is.
    case unknownCreateType, unsupportedCreateType, encrypted, parentContradiction,
      contradictoryExtents
    // Chains.
    case parentMissing, parentContentMismatch, parentCapacityDiffers, chainCycle, chainTooDeep
    // Extent lines.
    case unknownAccess, noAccess, unknownExtentType, badSectorCount, missingOffset, badOffset, missingName,
      noExtents
    case tooManyExtents, diskTooLarge, nameLeavesFolder, unsafeName, ambiguousName
    // Extent files.
    case missingFile, symbolicLink, notARegularFile, notABlockDevice, sameRangeTwice, fileTooShort, io
    // Sparse images.
    case unsupportedFormat, unfinishedFile, truncatedHeader, unsupportedVersion, unknownFlags, badCompression
    case textModeDamage, badGrainSize, badTableSize, badCapacity, outsideFile, directoryTooLarge,
      capacityMismatch
    case noEmbeddedDescriptor, wrongMagic, badDirectory, noFooter, badFooter, reservedNotZero
    case journalNotReplayed
    // Writing the standby's descriptor.
    case sizeNotInSectors, badStandbyName
  }
}
