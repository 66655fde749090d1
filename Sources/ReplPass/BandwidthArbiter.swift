import ReplModel

/// Who may send next: divides the bytes of a daemon among its VMs. Pure bookkeeping on the monotonic clock.
///
/// Each VM has a lane, whose own limit caps it. While more wants to go out than may, three bytes of four go
/// to the lane that breaks its RPO first (the freeze time of its newest point plus the RPO; lanes without a
/// point come after those that have one), and the fourth to the lane that has waited longest, so that nobody
/// starves. What a lane does not use, because it has nothing to send or is at its own limit, goes to the next
/// one.
struct BandwidthArbiter {
  /// Pieces at a low limit: small, so that many lanes all get one before a peer calls its connection idle.
  static let smallestPiece = 4 << 10
  static let largestPiece = 64 << 10
  /// A piece is at most this much of a second.
  private static let pieceSeconds = 0.01
  /// A TLS record holds this much.
  private static let recordBytes = 16 << 10
  /// What those that come first by their RPO get for each byte of those that waited longest.
  private static let urgentShare: Int64 = 3
  /// How far the two may drift apart; the largest frame, about.
  private static let driftBytes: Int64 = 1 << 20

  private struct Lane {
    var bucket = TokenBucket()
    var deadline: WallTime?
  }

  private struct Request {
    let stream: UInt64
    let lane: String
    let byteCount: Int
    let ticket: UInt64
  }

  private var total = TokenBucket()
  private var lanes: [String: Lane] = [:]
  private var waiting: [Request] = []
  private var granted: [UInt64: Int] = [:]
  private var nextTicket: UInt64 = 0
  /// By how much those that come first by their RPO are ahead of their share.
  private var urgentLead: Int64 = 0

  // MARK: - What holds

  mutating func set(rate: Int64?, now: Int64) { total.set(rate: rate, now: now) }

  mutating func set(rate: Int64?, of lane: String, now: Int64) {
    lanes[lane, default: Lane()].bucket.set(rate: rate, now: now)
  }

  /// When the VM's newest point will be too old; nil before the first point.
  mutating func set(deadline: WallTime?, of lane: String) { lanes[lane, default: Lane()].deadline = deadline }

  mutating func remove(lane: String) { lanes[lane] = nil }

  // MARK: - Turns

  /// A stream of a lane wants to send. It asks once until it is granted something or withdraws.
  mutating func ask(_ stream: UInt64, of lane: String, byteCount: Int) {
    nextTicket += 1
    waiting.append(Request(stream: stream, lane: lane, byteCount: byteCount, ticket: nextTicket))
  }

  mutating func withdraw(_ stream: UInt64) { waiting.removeAll { $0.stream == stream } }

  /// Grants what may go out now.
  mutating func distribute(now: Int64) {
    total.fill(now: now)
    for lane in Set(waiting.map(\.lane)) { lanes[lane]?.bucket.fill(now: now) }
    while total.isOpen, let (index, isUrgent) = next() {
      let request = waiting.remove(at: index)
      let count = piece(for: request)
      granted[request.stream] = count
      charge(Int64(count), to: request.lane)
      guard let isUrgent else { continue }
      urgentLead += isUrgent ? Int64(count) : -Self.urgentShare * Int64(count)
      urgentLead = min(max(urgentLead, -Self.driftBytes), Self.driftBytes)
    }
  }

  /// What a stream was granted; taken once.
  mutating func takeGrant(_ stream: UInt64) -> Int? { granted.removeValue(forKey: stream) }

  /// Bytes that went out without a grant; fewer than nothing when fewer went out than were granted.
  mutating func charge(_ count: Int64, to lane: String) {
    total.take(count)
    lanes[lane]?.bucket.take(count)
  }

  /// Seconds until a stream of the lane may be granted something, as far as can be told now.
  func pauseSeconds(of lane: String) -> Double {
    max(total.secondsUntilOpen, lanes[lane]?.bucket.secondsUntilOpen ?? 0)
  }

  /// The request that is granted next, and whether by its RPO; nil for that where there is no other.
  private func next() -> (index: Int, isUrgent: Bool?)? {
    let able = waiting.indices.filter { lanes[waiting[$0].lane]?.bucket.isOpen ?? true }
    guard able.count > 1 else { return able.first.map { ($0, nil) } }
    guard urgentLead <= 0 else {
      return able.min { waiting[$0].ticket < waiting[$1].ticket }.map { ($0, false) }
    }
    return able.min { isMoreUrgent(waiting[$0], waiting[$1]) }.map { ($0, true) }
  }

  private func isMoreUrgent(_ left: Request, _ right: Request) -> Bool {
    switch (lanes[left.lane]?.deadline, lanes[right.lane]?.deadline) {
    case (let left?, let right?) where left != right: left < right
    case (_?, nil): true
    case (nil, _?): false
    default: left.ticket < right.ticket
    }
  }

  /// As much as is there, and at least a piece that fits the lower of both rates.
  private func piece(for request: Request) -> Int {
    let bucket = lanes[request.lane]?.bucket ?? TokenBucket()
    let available = min(total.available, bucket.available)
    guard let rate = [total.rate, bucket.rate].compactMap({ $0 }).min() else { return request.byteCount }
    let wanted = Int(Double(min(rate, 1 << 40)) * Self.pieceSeconds)
    let step = wanted >= Self.recordBytes ? Self.recordBytes : Self.smallestPiece
    let least = min(max(wanted / step * step, Self.smallestPiece), Self.largestPiece)
    return min(request.byteCount, max(available, least))
  }
}
