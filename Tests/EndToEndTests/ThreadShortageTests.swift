import Foundation
import Glibc
import ReplTestKit
import Testing

/// A receiver whose system has no threads left for what comes.
extension EndToEnd {
  @Suite(.needs("qemu-img", "prlimit")) struct ThreadShortageTests {
    @Test(
      "connections for which there is no thread are refused one by one, and passes go on when they are gone")
    func flood() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure(receiver: "max_connections: 500")
      // Every thread takes 2 GiB of addresses, of which there are 30: a dozen of them. Limits of processes do
      // not hold for root.
      try lab.startReceiver(limits: ["--stack=\(2 << 30)", "--as=\(30 << 30)"])
      let receiver = try #require(lab.receiver)
      var sockets: [Int32] = []
      defer { for socket in sockets { close(socket) } }
      for number in 0..<64 {
        let socket = LoopbackSocket.open()
        sockets.append(socket)
        // An address has only so many connections.
        #expect(LoopbackSocket.connect(socket, to: UInt16(lab.port), from: UInt8(2 + number / 8)))
      }
      try eventually("one is refused") {
        receiver.errors.contains("thread connection: start failed") || !receiver.process.isRunning
      }
      #expect(receiver.process.isRunning, "\(receiver.errors)")
      for socket in sockets { close(socket) }
      sockets = []
      try lab.pass()
      try lab.expectIdentical()
      #expect(receiver.process.isRunning, "\(receiver.errors)")
      try lab.stopReceiver()
    }
  }
}
