import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass

@Suite struct PassEstimateTests {
  private func estimate(_ seconds: Double...) -> Double? {
    PassEstimate(seconds.map { .sample(seconds: $0) })?.seconds
  }

  @Test("one slow pass of five does not count, two do, and the first copy never does")
  func quantile() {
    #expect(estimate() == nil)
    #expect(PassEstimate([.sample(seconds: 9, isFirstCopy: true)]) == nil)
    #expect(PassEstimate([.sample(seconds: 900, isFirstCopy: true), .sample(seconds: 9)])?.seconds == 9)
    #expect(estimate(10, 10, 600, 10, 10) == 10)
    #expect(estimate(10, 600, 600, 10, 10) == 600)
    #expect(estimate(3, 5) == 5)
  }

  @Test("passes that take longer and longer are expected to go on so, within reason")
  func trend() {
    #expect(estimate(10, 20, 30) == 40)
    #expect(estimate(1, 1, 1, 1, 1, 1, 10, 20, 30) == 40)
    #expect(estimate(1, 2, 100) == 149.5)
    #expect(estimate(1, 2, 1000) ?? 0 <= 2000)
    #expect(estimate(30, 20, 10) == 30, "what becomes shorter is not believed at once")
  }
}

@Suite struct PassHistoryTests {
  private let vm = VMID(high: 1, low: 2)

  @Test("what was measured is there after a restart, bounded, and gone when the VM is forgotten")
  func restart() throws {
    let machine = SimulatedMachine(disks: ["state"])
    let directory = try machine.disk("state").createDirectory("history")
    let history = try PassHistory(directory: directory)
    for number in 1...40 { try history.add(.sample(seconds: Double(number), bottleneck: .link), of: vm) }
    let again = try PassHistory(directory: directory)
    #expect(again[vm] == history[vm] && again[vm].count == PassHistory.limit)
    #expect(again.estimate(of: vm)?.seconds == history.estimate(of: vm)?.seconds)
    #expect(again[vm].last == .sample(seconds: 40, bottleneck: .link))
    try again.remove(vm)
    #expect(try PassHistory(directory: directory)[vm].isEmpty)
    #expect(again.estimate(of: vm) == nil)
  }

  @Test("what a daemon that has ended foretold is no forecast, and its seconds are not the next one's")
  func ended() throws {
    let machine = SimulatedMachine(disks: ["state"])
    let directory = try machine.disk("state").createDirectory("status")
    let board = try StatusBoard(directory: directory)
    board.update(vm, name: "web01", peer: nil, rpoSeconds: 900) { status in
      status.rpoForecast = VMStatus.Forecast(verdict: .met, reason: "all is well")
      status.stageSeconds = VMStatus.StageSeconds(link: 5)
    }
    try board.keep(vm)
    let again = try #require(try StatusBoard(directory: directory)[vm])
    #expect(again.name == "web01" && again.rpoForecast == nil && again.stageSeconds == nil)
  }

  @Test("a file that is damaged, or holds what no pass can have taken, keeps nobody from starting")
  func damage() throws {
    let machine = SimulatedMachine(disks: ["state"])
    let directory = try machine.disk("state").createDirectory("history")
    for text in ["", "[", "[{\"seconds\":1}]", "{}", String(repeating: "[", count: 70_000)] {
      try directory.replaceFile("\(vm).json", with: Array(text.utf8))
      #expect(try PassHistory(directory: directory)[vm].isEmpty)
    }
    let history = try PassHistory(directory: directory)
    try history.add(.sample(seconds: 5), of: vm)
    let good = String(decoding: try directory.readFile("\(vm).json", limitBytes: 4096), as: UTF8.self)
    let bad = good.replacing("\"seconds\":5", with: "\"seconds\":-1e300")
    #expect(bad != good)
    try directory.replaceFile("\(vm).json", with: Array(bad.utf8))
    #expect(try PassHistory(directory: directory).estimate(of: vm) == nil)
    try directory.replaceFile("not-a-vm.json", with: Array(good.utf8))
    try directory.replaceFile("\(vm).json", with: Array(good.utf8))
    #expect(try PassHistory(directory: directory).estimate(of: vm)?.seconds == 5)
  }
}
