/// Which connections are open, from where, and who may have another one. No I/O.
struct ConnectionTable {
  typealias ID = UInt64

  /// Why a connection is not taken.
  enum Refusal: Hashable, Sendable { case total, perAddress }

  let caps: Listener.Caps
  private(set) var countByAddress: [[UInt8]: Int] = [:]
  private var addresses: [ID: [UInt8]] = [:]
  private var nextID: ID = 0
  /// Addresses that authenticated, the latest last.
  private var known: [[UInt8]] = []

  init(caps: Listener.Caps) { self.caps = caps }

  var count: Int { addresses.count }

  /// Takes a place for a connection from `address`. The last places are kept for addresses that have
  /// authenticated before, so that a flood of strangers does not shut them out.
  mutating func admit(_ address: [UInt8]) -> Result<ID, Refusal> {
    guard countByAddress[address, default: 0] < caps.perAddress else { return .failure(.perAddress) }
    let reserved = known.contains(address) ? 0 : caps.reservedForKnownAddresses
    guard count < caps.total - reserved else { return .failure(.total) }
    let id = nextID
    nextID += 1
    addresses[id] = address
    countByAddress[address, default: 0] += 1
    return .success(id)
  }

  /// The peer of this connection has shown that it is one of ours.
  mutating func authenticated(_ id: ID) {
    guard let address = addresses[id] else { return }
    known.removeAll { $0 == address }
    known.append(address)
    if known.count > TransportLimits.rememberedAddresses { known.removeFirst() }
  }

  mutating func release(_ id: ID) {
    guard let address = addresses.removeValue(forKey: id), let count = countByAddress[address] else { return }
    countByAddress[address] = count > 1 ? count - 1 : nil
  }
}

extension ConnectionTable.Refusal: Error {}
