import ReplIO
import Synchronization

/// Where the pipeline of one pass spends its time, over all its connections. Stages add to it a few times a
/// MiB at most; from any thread.
public final class StageTimes: Sendable {
  /// Stages that tell their own time; waits for each other are told by the queues between them.
  public enum Stage: Sendable {
    /// Reader threads in a read of the source.
    case read
    /// Reader threads digesting.
    case digest
    /// Codec threads at work.
    case codec
    /// The writer, while too much is unacknowledged.
    case window
    /// The writer, putting bytes on the wire.
    case link
  }

  private let read = Atomic<Int64>(0)
  private let digest = Atomic<Int64>(0)
  private let codec = Atomic<Int64>(0)
  private let window = Atomic<Int64>(0)
  private let link = Atomic<Int64>(0)
  /// Since when the one writer waits for the other side, 0 while it does not: on a slow link a frame takes
  /// minutes, which count before they are over.
  private let windowBegan = Atomic<Int64>(0)
  private let linkBegan = Atomic<Int64>(0)
  private let time: any TimeSource
  private let connection = Mutex(Connection())

  private struct Connection {
    var endedWaits = ScanWaits()
    var waits: (@Sendable () -> ScanWaits)?
    /// When the connection that is open was made.
    var beganAt: Int64 = 0
    /// What the target said last of how long it worked.
    var targetBusySeconds: Double?
    var endedTargetBusySeconds: Double?

    var allTargetBusySeconds: Double? {
      guard let ended = endedTargetBusySeconds else { return targetBusySeconds }
      return ended + (targetBusySeconds ?? 0)
    }
  }

  public init(time: any TimeSource = SystemTime()) { self.time = time }

  /// The clock that `add` counts with.
  public var now: Int64 { time.monotonicNanoseconds() }

  /// Adds the time since `began`, and answers the time now: the next stage begins there.
  @discardableResult
  public func add(_ stage: Stage, since began: Int64) -> Int64 {
    let now = now
    counter(stage, now - began)
    return now
  }

  /// Adds the time that `body` takes to a stage of the writer. It is seen while it lasts, too.
  public func measureWriter<Value, Failure: Error>(
    _ stage: Stage, _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let began = now
    note(stage, began: began)
    defer {
      note(stage, began: 0)
      add(stage, since: began)
    }
    return try body()
  }

  private func note(_ stage: Stage, began: Int64) {
    switch stage {
    case .window: windowBegan.store(began, ordering: .relaxed)
    case .link: linkBegan.store(began, ordering: .relaxed)
    case .read, .digest, .codec: break
    }
  }

  private func counter(_ stage: Stage, _ nanoseconds: Int64) {
    switch stage {
    case .read: read.add(nanoseconds, ordering: .relaxed)
    case .digest: digest.add(nanoseconds, ordering: .relaxed)
    case .codec: codec.add(nanoseconds, ordering: .relaxed)
    case .window: window.add(nanoseconds, ordering: .relaxed)
    case .link: link.add(nanoseconds, ordering: .relaxed)
    }
  }

  // MARK: - One connection

  /// A connection is there; what its target says of itself begins at nothing.
  public func connect() {
    let now = now
    connection.withLock { connection in
      connection.beganAt = now
      connection.endedTargetBusySeconds = connection.allTargetBusySeconds
      connection.targetBusySeconds = nil
    }
  }

  /// A scan begins; `waits` tells what its queues have counted. There may be several on one connection.
  public func begin(waits: @escaping @Sendable () -> ScanWaits) {
    connection.withLock { $0.waits = waits }
  }

  /// The scan is over; what it counted stays.
  public func end() {
    connection.withLock { connection in
      if let waits = connection.waits { connection.endedWaits += waits() }
      connection.waits = nil
    }
  }

  /// The target has worked so long since the first batch on this connection, rather than waited for more.
  public func noteTarget(busySeconds: Double) {
    let now = now
    connection.withLock { connection in
      // Nobody works longer than there is something to work on.
      let elapsed = Double(now - connection.beganAt) / 1e9
      connection.targetBusySeconds = min(max(busySeconds, 0), elapsed)
    }
  }

  /// What was counted until now.
  public var reading: StageReading {
    let (waits, busy) = connection.withLock { connection in
      (
        connection.waits.map { connection.endedWaits + $0() } ?? connection.endedWaits,
        connection.allTargetBusySeconds
      )
    }
    return StageReading(
      readSeconds: seconds(read), digestSeconds: seconds(digest), codecSeconds: seconds(codec),
      windowSeconds: seconds(window) + passed(windowBegan), linkSeconds: seconds(link) + passed(linkBegan),
      waits: waits, targetBusySeconds: busy)
  }

  private func passed(_ began: borrowing Atomic<Int64>) -> Double {
    let began = began.load(ordering: .relaxed)
    return began == 0 ? 0 : max(0, Double(now - began) / 1e9)
  }

  private func seconds(_ counter: borrowing Atomic<Int64>) -> Double {
    Double(counter.load(ordering: .relaxed)) / 1e9
  }
}

/// How long the threads of a scan waited for each other, seconds of all threads together.
public struct ScanWaits: Sendable, Hashable {
  /// Readers, for codec threads to take what they found or to give buffers back.
  public var readers: Double = 0
  /// Codec threads, for readers to find something.
  public var codec: Double = 0
  /// The writer, for a batch.
  public var writer: Double = 0

  public init(readers: Double = 0, codec: Double = 0, writer: Double = 0) {
    (self.readers, self.codec, self.writer) = (readers, codec, writer)
  }

  static func + (left: Self, right: Self) -> Self {
    ScanWaits(
      readers: left.readers + right.readers, codec: left.codec + right.codec,
      writer: left.writer + right.writer)
  }

  static func += (left: inout Self, right: Self) { left = left + right }
}
