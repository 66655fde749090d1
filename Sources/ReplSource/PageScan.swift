import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import Synchronization

/// Finds the changed pages of all disks of a view: reader threads read, digest and compare, and cut runs into
/// batches; codec threads compress; the caller takes finished batches from `next` and puts them on the wire.
///
/// Memory: `Limits.bufferCount` buffers of 1 MiB in all, plus one read buffer a reader, whatever the size of
/// the disks. Queues are bounded, so a slow link holds the readers back. End: `next` answers nil when all
/// leaves were scanned; `stop` ends all threads early, and both return only when no thread is left.
public final class PageScan: Sendable {
  /// What bounds memory and threads of a scan.
  public enum Limits {
    /// Reader threads: more than four only move the bottleneck.
    public static let readerCount = min(4, max(2, ProcessorCount.online))
    public static let codecThreadCount = readerCount
    /// Two open batches for each of four readers and one more for every batch that a codec thread packs leave
    /// some for the queues, which the writer empties.
    public static let bufferCount = 20
    static let queueCapacity = 6
    /// A batch is closed when it holds this much: large TLS writes, small enough to spread over codec
    /// threads.
    static let batchTargetBytes = 512 << 10
    static let readBytes = 1 << 20
    /// A lone changed page must not wait in an open batch until the end of a large disk: it would hold back
    /// the position from which a cut pass goes on.
    static let leavesBetweenFlushes = 512
  }

  /// What a scan has counted so far, bytes and pages.
  public struct Counts: Sendable {
    public var readBytes: Int64 = 0
    public var dataPages: Int64 = 0
    public var zeroPages: Int64 = 0
    public var changedBytes: Int64 = 0
  }

  let disks: [ScanDisk]
  let key: DigestKey
  let codec: Codec
  let tracker: ResumeTracker
  let cursor: LeafCursor
  let found = BoundedQueue<OutgoingBatch>(capacity: Limits.queueCapacity)
  let ready = BoundedQueue<OutgoingBatch>(capacity: Limits.queueCapacity)
  /// What one batch may hold, at most `OutgoingBatch.rawLimitBytes`.
  let batchLimitBytes: Int
  /// The codec's level for the next batch, 0 for raw.
  private let level = Atomic<Int>(1)
  let buffers = BoundedQueue<AlignedBuffer>(capacity: Limits.bufferCount)
  let times: StageTimes
  private let shared: Mutex<Shared>

  private struct Shared {
    var counts: [Counts]
    var failure: SourceError?
    var readersLeft = 0
    var codecThreadsLeft = 0
    var threads: [NamedThread] = []
    var isStopped = false
  }

  /// `tracker` counts the leaves of `disks` in order and says where to begin. `batchLimitBytes` is the most
  /// that the receiver takes, a page at least.
  public init(
    disks: [ScanDisk], key: DigestKey, codec: Codec, tracker: ResumeTracker, times: StageTimes = StageTimes(),
    batchLimitBytes: Int = OutgoingBatch.rawLimitBytes
  ) {
    self.batchLimitBytes = min(batchLimitBytes, OutgoingBatch.rawLimitBytes)
    self.times = times
    self.disks = disks
    self.key = key
    self.codec = codec
    self.tracker = tracker
    cursor = LeafCursor(disks: disks, tracker: tracker)
    shared = Mutex(Shared(counts: disks.map { _ in Counts() }))
  }

  /// Leaves of all disks together: what a `ResumeTracker` counts.
  public static func leafCount(of disks: [PageGrid]) -> Int64 { disks.reduce(0) { $0 + $1.leafCount } }

  /// Starts the threads; `stop` or the end of `next` ends them.
  public func start() {
    for _ in 0..<Limits.bufferCount { buffers.push(AlignedBuffer(byteCount: OutgoingBatch.rawLimitBytes)) }
    shared.withLock { shared in
      shared.readersLeft = Limits.readerCount
      shared.codecThreadsLeft = Limits.codecThreadCount
      for _ in 0..<Limits.readerCount {
        shared.threads.append(.start("scan-read") { self.runReader() })
      }
      for _ in 0..<Limits.codecThreadCount {
        shared.threads.append(.start("scan-codec") { self.runCodec() })
      }
    }
  }

  /// The next batch; waits. Nil when all is scanned. Give every batch back with `recycle`. `onWait` is called
  /// twice a second while nothing is found.
  public func next(onWait: () -> Void = {}) throws(SourceError) -> OutgoingBatch? {
    while !ready.waitForElement(seconds: 0.5) { onWait() }
    if let batch = ready.pop() { return batch }
    joinThreads()
    let (failure, isStopped) = shared.withLock { ($0.failure, $0.isStopped) }
    if let failure { throw failure }
    // Half a scan must never pass for a whole one.
    if isStopped { throw .stopped }
    return nil
  }

  /// Compresses with another level of the codec from the next batch on; nil: not at all. From any thread.
  public func setLevel(_ newLevel: Int?) { level.store(newLevel ?? 0, ordering: .relaxed) }

  var currentLevel: Int? {
    let level = level.load(ordering: .relaxed)
    return level == 0 ? nil : level
  }

  /// Takes the buffer of a batch that has been sent.
  public func recycle(_ batch: OutgoingBatch) {
    buffers.push(batch.buffer)
  }

  /// Ends all threads and waits for them.
  public func stop() {
    cancel()
    joinThreads()
  }

  /// Tells all threads to end at their next leaf or batch; `next` throws then. From any thread.
  public func cancel() {
    shared.withLock { $0.isStopped = true }
    found.cancel()
    ready.cancel()
    buffers.cancel()
  }

  var isStopped: Bool { shared.withLock { $0.isStopped } }

  public var counts: [Counts] { shared.withLock { $0.counts } }

  /// How long the stages have waited for each other.
  public var waits: ScanWaits {
    let (found, ready, buffers) = (
      found.waitedNanoseconds, ready.waitedNanoseconds, buffers.waitedNanoseconds
    )
    return ScanWaits(
      readers: Double(found.push + buffers.pop) / 1e9, codec: Double(found.pop) / 1e9,
      writer: Double(ready.pop) / 1e9)
  }

  func add(_ counts: Counts, disk: Int) {
    shared.withLock { shared in
      shared.counts[disk].readBytes += counts.readBytes
      shared.counts[disk].dataPages += counts.dataPages
      shared.counts[disk].zeroPages += counts.zeroPages
      shared.counts[disk].changedBytes += counts.changedBytes
    }
  }

  private func fail(_ error: SourceError) {
    shared.withLock { if $0.failure == nil { $0.failure = error } }
    cancel()
  }

  private func runReader() {
    do throws(SourceError) {
      var reader = try LeafReader(scan: self)
      try reader.run()
    } catch { fail(error) }
    let isLast = shared.withLock { shared in
      shared.readersLeft -= 1
      return shared.readersLeft == 0
    }
    if isLast { found.close() }
  }

  private func runCodec() {
    do throws(SourceError) {
      let stage = try CodecStage(scan: self)
      try stage.run()
    } catch { fail(error) }
    let isLast = shared.withLock { shared in
      shared.codecThreadsLeft -= 1
      return shared.codecThreadsLeft == 0
    }
    if isLast { ready.close() }
  }

  private func joinThreads() {
    let threads = shared.withLock { shared in
      defer { shared.threads = [] }
      return shared.threads
    }
    for thread in threads { thread.join() }
  }
}
