/// What this module accepts at most, and why.
public enum Limits {
  /// Bytes of page data in one batch: the unit that is inflated, checked and held in memory at once.
  public static let batchBytes = 1 << 20
  /// A batch of 256 alternating pages needs 256 data runs and as many zero runs; the rest is room.
  public static let runsPerBatch = 4096
  /// Pieces in which the storage is asked to begin writing a file that only grows: large ones cost little.
  static let startWritingBytes: Int64 = 2 << 20
  /// Two numbers of at most nine bytes a run.
  static let runTableBytes = runsPerBatch * 18
  /// A VMX or NVRAM file. ESXi's NVRAM files are below 300 KiB, VMX files below 100 KiB.
  public static let sourceFileBytes = 1 << 20
  /// Body of a record: a full batch, its digests and its run table.
  static let recordBodyBytes = (1 << 20) + (128 << 10)
  /// Header of a record file: 256 disks take about 60 KiB.
  static let recordFileHeaderBytes = 1 << 20
  /// VMware allows 4 controllers with at most 64 units of each kind; 256 disks is its limit for a VM.
  public static let disksPerVM = 256
  /// A catalog with 256 disks and two points is below 1 MiB; one with 32 disks and 400 points has 12 MiB.
  static let catalogBytes = 16 << 20
  /// What a commit may make of a catalog: the rest is for what is written when something went wrong.
  static let catalogCommitBytes = 12 << 20
  /// Facts of one disk: what a descriptor's data base may hold.
  static let factsPerDisk = 64
  /// Their bytes. A descriptor that VMware wrote has about 400, the source's reader passes on at most 2 KiB.
  static let factBytesPerDisk = 4 << 10
  /// Facts of all disks together: a commit record must hold them.
  static let factBytes = 256 << 10
  /// A display name in UTF-8: VMware's limit is 80 characters.
  public static let displayNameBytes = 1024
  static let slugCharacters = 64
  /// Files that the caller may place beside the disks: a descriptor a disk, NVRAM and VMX.
  static let placedFiles = disksPerVM + 8
  static let placedFileBytes = 4 << 20
  /// Journals are small in number: one that is being written, at most a few left by crashes.
  static let journals = 64
  /// Recovery points of one standby: a catalog with them is below 1 MiB for a VM with two disks, and their
  /// undo files can be open at once.
  public static let points = 512
  /// How often a list of undo files is read again because retention changed it meanwhile.
  static let chainAttempts = 16
  /// Ranges of damaged pages that a catalog lists for a disk of a point; more are counted.
  static let damagedRanges = 64
  /// Such ranges of all disks and points together, about 3 MiB; beyond, none is listed.
  static let damagedRangesInAll = 1 << 16
  /// Ranges of pages that are kept of one disk: more are joined. 256 disks of them are 16 MiB of JSON.
  static let listedRanges = 1024
  /// Checksummed list of wanted pages: all disks of a VM with as many ranges as can be.
  static let wantedBytes = 32 << 20
  /// A file by which a hypervisor marks a disk as used holds a host's name: what is read of it.
  static let lockFileBytes = 512
}
