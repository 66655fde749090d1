import ReplCompression
import ReplModel
import ReplProtocol

/// The payload of one message: decoded and checked as both ends do.
struct FuzzedPayload {
  /// 16 pages; eight pages and five bytes more; the largest disk.
  private static let grids = [
    PageGrid(sizeBytes: 65_536, pageSizeBytes: 4096)!,
    PageGrid(sizeBytes: 8 * 4096 + 5, pageSizeBytes: 4096)!,
    PageGrid(sizeBytes: 64 << 40, pageSizeBytes: 4096)!,
  ]

  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func read(_ type: MessageType) {
    do throws(ProtocolError) { try decode(type) } catch { expectPrintable(error.description) }
  }

  private func decode(_ type: MessageType) throws(ProtocolError) {
    switch type {
    case .heartbeat: return
    case .hello: try again(Hello.decode(bytes))
    case .keyRequest: try again(KeyRequest.decode(bytes))
    case .key: try again(KeyMessage.decode(bytes))
    case .offer: try again(Offer.decode(bytes))
    case .accept: try again(Accept.decode(bytes))
    case .nodesRequest: try NodesRequest.decode(bytes).validate(disks: Self.grids)
    case .leavesRequest: try LeavesRequest.decode(bytes).validate(disks: Self.grids)
    case .ack: try Ack.decode(bytes).validate(after: 3, sent: 100)
    case .resend: try resend()
    case .commit: try again(Commit.decode(bytes))
    case .committed: try again(Committed.decode(bytes))
    case .settled: try again(Settled.decode(bytes))
    case .reading: try again(Reading.decode(bytes))
    case .proof: try again(Proof.decode(bytes))
    case .statement: try again(Statement.decode(bytes))
    case .error: expectPrintable("error: \(try ErrorMessage.decode(bytes).error.description)")
    case .goodbye: try again(Goodbye.decode(bytes))
    case .nodes:
      let request = NodesRequest(disk: 0, level: 1, first: 0, count: 1)
      try whole { (all) throws(ProtocolError) in _ = try TreeAnswer.decodeNodes(all, answering: request) }
    case .leaves:
      let request = LeavesRequest(disk: 1, first: 0, count: 1)
      try whole { (all) throws(ProtocolError) in _ = try TreeAnswer.decodeLeaves(all, answering: request) }
    case .file: try whole { (all) throws(ProtocolError) in _ = try FileMessage.decode(all) }
    case .batch: try whole { (all) throws(ProtocolError) in try batch(all) }
    }
  }

  /// What was accepted can be said again.
  private func again<Message: ControlMessage>(_ message: Message) throws(ProtocolError) {
    let encoded = try message.encode()
    _ = try Message.decode(encoded)
  }

  private func resend() throws(ProtocolError) {
    let resend = try Resend.decode(bytes)
    try resend.validate(disks: Self.grids)
    for range in resend.pages {
      precondition(range.first >= 0 && range.first + range.count <= Self.grids[resend.disk].pageCount)
    }
  }

  private func whole(
    _ body: (UnsafeRawBufferPointer) throws(ProtocolError) -> Void
  ) throws(ProtocolError) {
    let failure = bytes.withUnsafeBytes { all -> ProtocolError? in
      do throws(ProtocolError) {
        try body(all)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  /// Unpacked into exactly what was declared, which is within the limits; runs inside their disk, in order.
  private func batch(_ all: UnsafeRawBufferPointer) throws(ProtocolError) {
    let batch = try BatchMessage.decode(all, disks: Self.grids, codecs: Set(Codec.allCases))
    precondition(batch.rawLength <= ProtocolLimits.standard.batchRawBytes)
    var position: Int64 = 0
    for run in batch.runs {
      precondition(run.firstPage >= position && run.pageCount > 0)
      position = run.firstPage + run.pageCount
    }
    precondition(position <= Self.grids[batch.diskIndex].pageCount)
    var output = [UInt8](repeating: 0, count: batch.rawLength)
    output.withUnsafeMutableBytes { output in
      let payload = UnsafeRawBufferPointer(rebasing: all[batch.payload])
      do throws(CompressionError) { try Decompressor().decompress(batch.codec, payload, into: output) } catch
      {
        expectPrintable(error.description)
      }
    }
  }
}
