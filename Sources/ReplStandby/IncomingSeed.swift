import ReplDigest
import ReplIO
import ReplModel

/// What takes the batches of one session: a pass, or a seed.
public protocol IncomingBatches: AnyObject {
  /// Takes one batch: bounds, inflating and digests are checked before anything is written. Not durable
  /// before `sync`. Throws `.damagedBatch` for what may be sent again.
  func append(_ batch: ReceivedBatch) throws(StandbyError)

  /// Makes everything taken durable: then the caller may acknowledge it. A failure is final.
  func sync() throws(StandbyError)

  /// What a disk (index in the offer) would be by what is here. The source sends what differs from this.
  func digestView(disk index: Int) -> any DigestView

  /// Whether a disk (index in the offer) gets its first copy.
  func isSeeding(disk index: Int) -> Bool

  /// The session is over: keeps what is here as a head start. What cannot be trusted is dropped.
  func suspend() throws(StandbyError)
}

/// A session that brings pages of disks which no recovery point holds yet, from the accepted offer to its
/// end. It never commits: the pass that takes the disks in compares all of them. One user at a time; the
/// digest views may be read by other threads meanwhile.
///
/// Batches are written to the disks. The journal of an interrupted pass of the other disks is not touched.
/// After any error but `.damagedBatch` the session is over: call `suspend`.
public final class IncomingSeed: IncomingBatches {
  public let offer: PassOffer
  public let standby: Standby
  private let disks: [SeedingDisk]
  private let verifier: BatchVerifier
  private var space: SpaceWatch
  private var endedBy: String?

  init(standby: Standby, offer: PassOffer, readingSeconds: Double?) throws(StandbyError) {
    self.standby = standby
    self.offer = offer
    verifier = try BatchVerifier(offer.disks, in: standby.store)
    space = try SpaceWatch(standby, journalHolds: nil)
    var disks: [SeedingDisk] = []
    do throws(StandbyError) {
      for offered in offer.disks {
        guard let entry = standby.catalog.disk(offered.disk), entry.state == .seeding else {
          preconditionFailure("an offered disk was not entered in the catalog as one to seed")
        }
        disks.append(try SeedingDisk(entry, offered: offered, in: standby, readingSeconds: readingSeconds))
      }
    } catch {
      // The disk that cannot be opened is to be told; those before it must not be read again because of it.
      for disk in disks { try? disk.suspend(pass: offer.pass) }
      throw error
    }
    self.disks = disks
  }

  public func isSeeding(disk index: Int) -> Bool { true }

  public func digestView(disk index: Int) -> any DigestView { disks[index].overlay.delta }

  public func append(_ batch: ReceivedBatch) throws(StandbyError) {
    try requireOpen()
    let verified = try verifier.verify(batch)
    try ending { () throws(StandbyError) in
      try space.check(adding: Int64(batch.rawLength), journalBytes: nil)
      try disks[batch.diskIndex].take(batch, data: verified.data, digests: verified.digests)
    }
  }

  public func sync() throws(StandbyError) {
    try requireOpen()
    try standby.checkFailoverRequest()
    // No commit will ask for it: a fence raised meanwhile must end this before the next span.
    try ending { () throws(StandbyError) in try standby.checkFence() }
    try ending { () throws(StandbyError) in for disk in disks { try disk.sync() } }
  }

  public func suspend() throws(StandbyError) {
    endedBy = endedBy ?? "it was suspended"
    // A disk that cannot be kept must not take the others' head start with it.
    var failure: StandbyError?
    for disk in disks {
      do throws(StandbyError) { try disk.suspend(pass: offer.pass) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private func requireOpen() throws(StandbyError) {
    if let endedBy { throw .passEnded(detail: endedBy) }
  }

  /// Runs `body`; what it throws ends the session.
  private func ending(_ body: () throws(StandbyError) -> Void) throws(StandbyError) {
    do throws(StandbyError) { try body() } catch {
      endedBy = endedBy ?? "\(error)"
      throw error
    }
  }
}
