import Foundation
import Logging
import ReplModel
import Synchronization
import Testing

@testable import ReplService

/// An address that cannot be listened on yet.
@Suite("Waiting for an address") struct ListenPatienceTests {
  private struct Trouble: Error, Equatable {
    let mayPass: Bool
  }

  private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  private func wait(
    seconds: Double, mayPass: Bool, failures: Int
  ) async throws -> (value: Int, tries: Int) {
    let tries = Mutex(0)
    let value = try await ListenPatience(logger: logger, seconds: seconds, pauseSeconds: 0.01).wait(
      mayPass: { (error: Trouble) in error.mayPass }
    ) { () async throws(Trouble) -> Int in
      let number = tries.withLock { tries in
        tries += 1
        return tries
      }
      if number <= failures { throw Trouble(mayPass: mayPass) }
      return 7
    }
    return (value, tries.withLock { $0 })
  }

  @Test("what may pass is tried again, what does not is thrown at once, and the time is limited")
  func tries() async throws {
    let (value, tries) = try await wait(seconds: 600, mayPass: true, failures: 3)
    #expect(value == 7 && tries == 4)
    await #expect(throws: Trouble(mayPass: false)) {
      _ = try await wait(seconds: 600, mayPass: false, failures: 3)
    }
    await #expect(throws: Trouble(mayPass: true)) {
      _ = try await wait(seconds: 0.2, mayPass: true, failures: .max)
    }
  }

  @Test("the pages are served as soon as another program has left the port")
  func port() async throws {
    let address = NetworkAddress(host: "127.0.0.1", port: 0)
    let document = StatusSamples.document
    let first = try await StatusServer.start(on: address, health: { .ok }, provide: { document })
    let taken = NetworkAddress(host: "127.0.0.1", port: first.port)
    let patience = ListenPatience(logger: logger, seconds: 600, pauseSeconds: 0.01)
    async let second = StatusServer.start(
      on: taken, patience: patience, health: { .ok }, provide: { document })
    await first.stop()
    let server = try await second
    #expect(server.port == first.port)
    await server.stop()
  }

  @Test("restarts of the units for an address that is not there never reach the limit of starts")
  func units() throws {
    for unit in UnitFileTests.units {
      let text = try String(
        contentsOf: UnitFileTests.folder.appendingPathComponent("\(unit).service"), encoding: .utf8)
      func value(_ key: String) throws -> Double {
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(key)=") })
        return try #require(Double(line.dropFirst(key.count + 1)))
      }
      let between = try ListenPatience.seconds + value("RestartSec")
      #expect(try between * value("StartLimitBurst") > value("StartLimitIntervalSec"))
      #expect(try ListenPatience.seconds < value("TimeoutStartSec"))
    }
  }

  @Test("the receiver's unit allows the threads of as many connections as a configuration may have")
  func tasks() throws {
    let text = try String(
      contentsOf: UnitFileTests.folder.appendingPathComponent("repl-receiver.service"), encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("TasksMax=") })
    #expect(try #require(Int(line.dropFirst("TasksMax=".count))) > 2 * 4096)
  }
}
