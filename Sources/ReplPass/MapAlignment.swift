import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplTransport

/// Learns what the receiver holds of a disk, level by level, fetching only what differs from the local map.
struct MapAlignment {
  let conversation: Conversation
  let diskIndex: Int
  let maps: SourceDiskMaps

  /// The base itself when the receiver holds the same; else an overlay with the receiver's leaves.
  func heldView(remoteRoot: Root) throws(PassError) -> any DigestView {
    do throws(DigestError) {
      if try maps.base.root() == remoteRoot { return maps.base }
    } catch { throw .digest(error) }
    let overlay = try maps.makeHeldOverlay()
    var comparison = TreeComparison(local: maps.base, into: overlay, remoteRoot: remoteRoot)
    while let request = try next(&comparison) {
      switch request {
      case .nodes(let level, let first, let count):
        try fetchNodes(NodesRequest(disk: diskIndex, level: level, first: first, count: count), &comparison)
      case .leaves(let first, let count):
        try fetchLeaves(LeavesRequest(disk: diskIndex, first: first, count: count), &comparison)
      }
    }
    do throws(DigestError) { try comparison.finish() } catch { throw .digest(error) }
    return overlay
  }

  private func next(_ comparison: inout TreeComparison) throws(PassError) -> TreeComparison.Request? {
    do throws(DigestError) { return try comparison.nextRequest() } catch { throw .digest(error) }
  }

  private func fetchNodes(_ request: NodesRequest, _ comparison: inout TreeComparison) throws(PassError) {
    let frame = try ask(request, phase: .nodesWanted)
    guard frame.type == .nodes else { throw conversation.unexpected(frame.type) }
    let nodes: [Hash256]
    do throws(ProtocolError) { nodes = try TreeAnswer.decodeNodes(frame.payload, answering: request) } catch {
      throw .wire(error)
    }
    do throws(DigestError) { try comparison.accept(nodes: nodes) } catch { throw .digest(error) }
  }

  private func fetchLeaves(_ request: LeavesRequest, _ comparison: inout TreeComparison) throws(PassError) {
    let frame = try ask(request, phase: .leavesWanted)
    guard frame.type == .leaves else { throw conversation.unexpected(frame.type) }
    let leaves: UnsafeRawBufferPointer
    do throws(ProtocolError) { leaves = try TreeAnswer.decodeLeaves(frame.payload, answering: request) } catch
    {
      throw .wire(error)
    }
    do throws(DigestError) { try comparison.accept(leaves: leaves) } catch { throw .digest(error) }
  }

  private func ask<Request: ControlMessage>(
    _ request: Request, phase: SessionState.Phase
  ) throws(PassError) -> Frame {
    try conversation.send(request)
    let seconds = ProtocolTimeouts.seconds(in: phase) ?? ProtocolTimeouts.idleSeconds
    return try conversation.receive(deadline: Deadline(seconds: seconds))
  }
}
