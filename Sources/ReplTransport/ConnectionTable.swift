/// Which connections are open, from where, and who may have another one. No I/O.
///
/// A connection that has not authenticated yet is a stranger's. Where places are short the stranger of the
/// address that has most of them, and of these the oldest, gives way to a new connection: a flood of idle
/// connections pushes out itself, and a peer that is not known yet, or comes from the flood's own address,
/// still has its turn.
struct ConnectionTable {
  typealias ID = UInt64

  /// Why a connection is not taken.
  enum Refusal: Hashable, Sendable { case total, perAddress }

  /// A place, and which stranger gives way for it: that one is to be ended, and released when it has.
  struct Admission: Hashable, Sendable {
    let id: ID
    let displaced: ID?
  }

  private struct Entry {
    let address: [UInt8]
    var isStranger = true
    /// Told to end; its place is given away.
    var isLeaving = false
  }

  let caps: Listener.Caps
  private var entries: [ID: Entry] = [:]
  private var nextID: ID = 0
  /// Addresses that authenticated, the latest last.
  private var known: [[UInt8]] = []

  init(caps: Listener.Caps) { self.caps = caps }

  /// All that are there, those that are leaving included.
  var count: Int { entries.count }

  /// Whether few enough are leaving to tell another one to: else nobody is admitted.
  var canDisplace: Bool { entries.values.count { $0.isLeaving } < TransportLimits.leavingConnections }

  /// Connections by address, without those that are leaving.
  var countByAddress: [[UInt8]: Int] {
    entries.values.reduce(into: [:]) { counts, entry in
      if !entry.isLeaving { counts[entry.address, default: 0] += 1 }
    }
  }

  /// Takes a place for a connection from `address`. The last places are kept for addresses that have
  /// authenticated before, so that a flood of strangers does not shut them out.
  mutating func admit(_ address: [UInt8]) -> Result<Admission, Refusal> {
    let staying = entries.values.count { !$0.isLeaving }
    // Threads that were told to end and have not yet: a few, or nobody else comes in.
    guard canDisplace else { return .failure(.total) }
    let reserved = known.contains(address) ? 0 : caps.reservedForKnownAddresses
    var displaced: ID?
    if countByAddress[address, default: 0] >= caps.perAddress {
      displaced = oldestStranger { $0 == address }
      guard displaced != nil else { return .failure(.perAddress) }
    } else if staying >= caps.total - reserved {
      displaced = crowdedAddress.flatMap { crowded in oldestStranger { $0 == crowded } }
      guard displaced != nil else { return .failure(.total) }
    }
    if let displaced { entries[displaced]?.isLeaving = true }
    let id = nextID
    nextID += 1
    entries[id] = Entry(address: address)
    return .success(Admission(id: id, displaced: displaced))
  }

  private func oldestStranger(of isMeant: ([UInt8]) -> Bool) -> ID? {
    entries.filter { $0.value.isStranger && !$0.value.isLeaving && isMeant($0.value.address) }.keys.min()
  }

  /// Where most strangers come from; of several, where the oldest one does.
  private var crowdedAddress: [UInt8]? {
    var strangers: [[UInt8]: (count: Int, oldest: ID)] = [:]
    for (id, entry) in entries where entry.isStranger && !entry.isLeaving {
      let known = strangers[entry.address]
      strangers[entry.address] = ((known?.count ?? 0) + 1, min(known?.oldest ?? id, id))
    }
    return strangers.max { ($0.value.count, $1.value.oldest) < ($1.value.count, $0.value.oldest) }?.key
  }

  /// The peer of this connection has shown that it is one of ours. False when its place was given away.
  mutating func authenticated(_ id: ID) -> Bool {
    guard let entry = entries[id], !entry.isLeaving else { return false }
    entries[id]?.isStranger = false
    known.removeAll { $0 == entry.address }
    known.append(entry.address)
    if known.count > TransportLimits.rememberedAddresses { known.removeFirst() }
    return true
  }

  /// Whether this connection was told to make room.
  func isLeaving(_ id: ID) -> Bool { entries[id]?.isLeaving ?? false }

  mutating func release(_ id: ID) { entries[id] = nil }
}

extension ConnectionTable.Refusal: Error {}
