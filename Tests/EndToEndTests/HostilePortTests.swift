import Foundation
import Glibc
import ReplIO
import ReplTestKit
import Testing

/// The receiver's port as the whole internet sees it (FAULTS.md 59, 60).
extension EndToEnd {
  @Suite(.needs("qemu-img", "openssl")) struct HostilePortTests {
    private func makeLab() throws -> Lab {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 20)
      try lab.writeVMX()
      try lab.change(disk: 0, ["write -P 0x41 0 1M"])
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      return lab
    }

    private func number(_ name: String, of process: Running) throws -> Int {
      let path = "/proc/\(process.process.processIdentifier)"
      if name == "descriptors" {
        return try FileManager.default.contentsOfDirectory(atPath: "\(path)/fd").count
      }
      let line = try String(contentsOfFile: "\(path)/status", encoding: .utf8).split(separator: "\n")
        .first { $0.hasPrefix("\(name):") }
      return try #require(line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) })
    }

    private func expectBounded(_ receiver: Running, _ before: (memory: Int, descriptors: Int)) throws {
      try eventually(seconds: 20, "threads and descriptors are back") {
        try number("descriptors", of: receiver) <= before.descriptors + 2
      }
      let memory = try number("VmRSS", of: receiver)
      // Threads' stacks and OpenSSL's caches of the connections that may be there at once.
      #expect(memory < before.memory + (32 << 10), "\(before.memory) KiB before, \(memory) after")
    }

    @Test(
      "HTTP, SSH, noise, half a ClientHello, a port scan: closed at the handshake, few log lines, no memory"
    )
    func garbage() throws {
      let lab = try makeLab()
      let receiver = try #require(lab.receiver)
      let before = (
        memory: try number("VmRSS", of: receiver), descriptors: try number("descriptors", of: receiver)
      )
      let began = Date()
      var random = SeededRandom(seed: 59)
      let texts: [[UInt8]] = [
        Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
        [22, 3, 1, 1, 252, 1, 0, 1], [], Array("vmrepl 0.1.0 protocol 1-1\n".utf8),
      ]
      for number in 0..<2000 {
        let noise = (0..<64).map { _ in UInt8.random(in: 0...255, using: &random) }
        let bytes = number % 6 == 5 ? noise : texts[number % 6]
        let socket = LoopbackSocket.open()
        #expect(LoopbackSocket.connect(socket, to: UInt16(lab.port)))
        _ = LoopbackSocket.send(socket, bytes[...])
        if number % 4 == 0 { LoopbackSocket.setReset(socket) }
        close(socket)
      }
      try lab.change(disk: 0, ["write -P 0x42 1M 64k"])
      try lab.pass()
      try lab.expectIdentical()
      try expectBounded(receiver, before)
      let lines = receiver.errors.split(separator: "\n").filter { $0.contains("connection-refused") }
      let seconds = Date().timeIntervalSince(began) + 1
      #expect(Double(lines.count) <= 5 * seconds + 5, "\(lines.count) lines in \(seconds) s")
      // How many were left out is said with the first line of a later second.
      try eventually(seconds: 20, "the lines that were left out are counted") {
        let socket = LoopbackSocket.open()
        defer { close(socket) }
        #expect(LoopbackSocket.connect(socket, to: UInt16(lab.port)))
        _ = LoopbackSocket.send(socket, texts[0][...])
        return receiver.errors.contains("not_shown=")
      }
    }

    @Test(
      "5000 connections that are idle or send a byte a second, before and after TLS: a pass commits meanwhile"
    )
    func slowloris() throws {
      let lab = try makeLab()
      var limit = rlimit()
      try #require(getrlimit(__rlimit_resource_t(7), &limit) == 0)
      limit.rlim_cur = limit.rlim_max
      try #require(setrlimit(__rlimit_resource_t(7), &limit) == 0)
      // As after a restart in the middle of it: no address is known yet.
      try lab.stopReceiver()
      try lab.startReceiver()
      let receiver = try #require(lab.receiver)
      let before = (
        memory: try number("VmRSS", of: receiver), descriptors: try number("descriptors", of: receiver)
      )
      let isOver = Monitor(false)
      let count = min(5000, Int(limit.rlim_cur) - 300)
      let port = UInt16(lab.port)
      let flood = NamedThread.start("slowloris") { Self.flood(port, count, until: isOver) }
      defer {
        isOver.withLock { $0 = true }
        flood.join()
      }
      // Peers of ours that say no more than their banner have as little time for their hello.
      let own = "\(lab.folder)/sender-state/identity"
      let idlers = try (0..<4).map { _ in
        try Running([
          "sh", "-c",
          "(echo 'vmrepl 0.1.0 protocol 1-1'; cat) | openssl s_client -connect 127.0.0.1:$0 -quiet -ign_eof "
            + "-tls1_3 -cert $1/certificate.pem -key $1/key.pem -alpn vmrepl/1", "\(lab.port)", own,
        ])
      }
      let began = Date()
      for round in 0..<3 {
        try lab.change(disk: 0, ["write -P \(round + 1) 1M 64k"])
        try lab.pass(seconds: 60)
        try lab.expectIdentical()
      }
      print("slowloris: \(count) connections, three passes in \(Date().timeIntervalSince(began)) s")
      for idler in idlers { try idler.finish(seconds: 20) }
      #expect(try number("Threads", of: receiver) < 200)
      isOver.withLock { $0 = true }
      try expectBounded(receiver, before)
    }

    /// Connections from many addresses; every tenth of them sends a byte a second.
    private static func flood(_ port: UInt16, _ count: Int, until isOver: Monitor<Bool>) {
      var sockets: [Int32] = []
      defer { for socket in sockets { close(socket) } }
      for number in 0..<count {
        let socket = LoopbackSocket.open()
        guard LoopbackSocket.connect(socket, to: port, from: UInt8(2 + number % 40)) else {
          close(socket)
          continue
        }
        sockets.append(socket)
        if isOver.withLock({ $0 }) { return }
      }
      let hello: [UInt8] = [22, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] + [UInt8](repeating: 7, count: 100)
      for second in 0..<hello.count {
        if isOver.wait(seconds: 1, { $0 ? true : nil }) == true { return }
        for index in stride(from: 0, to: sockets.count, by: 10) {
          if LoopbackSocket.send(sockets[index], hello[second...second]) { continue }
          // Dropped: it comes again.
          close(sockets[index])
          sockets[index] = LoopbackSocket.open()
          _ = LoopbackSocket.connect(sockets[index], to: port, from: UInt8(2 + index % 40))
        }
      }
    }
  }
}
