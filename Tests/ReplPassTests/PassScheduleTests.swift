import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplPass

@Suite struct PassScheduleTests {
  @Test("of the VMs that are due, the one with the oldest point goes first, and those without any before all")
  func oldestFirst() {
    var schedule = PassSchedule<String>(limit: 1)
    for name in ["a", "b", "c"] { schedule.add(name, terms: .init(intervalSeconds: 60), nowSeconds: 0) }
    for (name, start) in [("a", 30.0), ("b", 10.0)] {
      schedule.committed(name, startedSeconds: start, nowSeconds: start + 1)
    }
    #expect(schedule.takeDue(nowSeconds: 200) == "c")
    schedule.committed("c", startedSeconds: 200, nowSeconds: 200)
    #expect(schedule.takeDue(nowSeconds: 200) == "b")
    schedule.committed("b", startedSeconds: 200, nowSeconds: 200)
    #expect(schedule.takeDue(nowSeconds: 200) == "a")
  }

  @Test("no two passes of one VM overlap, and never more than the limit run at once")
  func limits() {
    var schedule = PassSchedule<String>(limit: 2)
    for name in ["a", "b", "c"] { schedule.add(name, terms: .init(intervalSeconds: 1), nowSeconds: 0) }
    let first = schedule.takeDue(nowSeconds: 5)
    let second = schedule.takeDue(nowSeconds: 50)
    #expect(first != nil && second != nil && first != second)
    #expect(schedule.takeDue(nowSeconds: 100) == nil)
    #expect(schedule.secondsUntilDue(nowSeconds: 100) == nil)
    schedule.committed(first!, startedSeconds: 5, nowSeconds: 100)
    #expect(schedule.takeDue(nowSeconds: 102) != nil)
    #expect(schedule.runningCount == 2)
  }

  @Test("passes that take long leave room for as many others, and no more than that")
  func longPasses() {
    var schedule = PassSchedule<Int>(limit: 2)
    for number in 0..<6 { schedule.add(number, terms: .init(intervalSeconds: 600), nowSeconds: 0) }
    #expect((0..<3).map { _ in schedule.takeDue(nowSeconds: 0) != nil } == [true, true, false])
    #expect(schedule.isPlaceWanted(nowSeconds: 119))
    #expect((0..<3).map { _ in schedule.takeDue(nowSeconds: 121) != nil } == [true, true, false])
    #expect(schedule.runningCount == 4)
    // Four that are all long.
    for number in 0..<6 { schedule.noteMoved(number, nowSeconds: 900) }
    #expect(schedule.takeDue(nowSeconds: 1000) == nil)
  }

  @Test("passes that do not get on leave room for others, and what hangs does not grow without end")
  func hangingPasses() {
    var schedule = PassSchedule<Int>(limit: 2)
    for number in 0..<100 { schedule.add(number, terms: .init(intervalSeconds: 600), nowSeconds: 0) }
    for now in [0.0, 0, 121, 121] { #expect(schedule.takeDue(nowSeconds: now) != nil) }
    let first = schedule.entries.filter { $0.value.isRunning }.keys
    #expect(schedule.takeDue(nowSeconds: 299) == nil && schedule.isPlaceWanted(nowSeconds: 299))
    // Those of the start hang by now, and do not keep the others waiting.
    #expect((0..<3).map { _ in schedule.takeDue(nowSeconds: 300) != nil } == [true, true, false])
    #expect(schedule.runningCount == 6)
    // One that gets on again counts again.
    for number in first { schedule.noteMoved(number, nowSeconds: 421) }
    #expect(schedule.takeDue(nowSeconds: 421) == nil)
    var now = 1000.0
    while schedule.takeDue(nowSeconds: now) != nil { now += 1000 }
    #expect(schedule.runningCount == PassSchedule<Int>.hangingLimit)
  }

  @Test("a pass that takes longer than its interval is followed by the next at once, not by a pile of them")
  func longPass() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: .init(intervalSeconds: 10), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    schedule.committed("a", startedSeconds: 0, nowSeconds: 55)
    #expect(schedule.takeDue(nowSeconds: 55) == "a")
    schedule.committed("a", startedSeconds: 55, nowSeconds: 56)
    #expect(schedule.takeDue(nowSeconds: 56) == nil)
    #expect(schedule.secondsUntilDue(nowSeconds: 56) == 9)
  }

  @Test(
    "failures are tried again after growing pauses; a VM that needs a person once an interval"
  )
  func backoff() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: .init(intervalSeconds: 60), nowSeconds: 0)
    var now = 0.0
    var pauses: [Double] = []
    for _ in 0..<8 {
      #expect(schedule.takeDue(nowSeconds: now) == "a")
      schedule.failed("a", remedy: .retryPass, retryAfterSeconds: nil, jitter: 0.5, nowSeconds: now)
      pauses.append(schedule.secondsUntilDue(nowSeconds: now)!)
      now += pauses.last!
    }
    #expect(pauses == [5, 10, 20, 40, 60, 60, 60, 60])
    #expect(schedule.takeDue(nowSeconds: now) == "a")
    schedule.failed("a", remedy: .stopVM, retryAfterSeconds: nil, jitter: 0, nowSeconds: now)
    #expect(schedule.secondsUntilDue(nowSeconds: now) == 60)
    #expect(schedule.takeDue(nowSeconds: now + 60) == "a")
    schedule.failed("a", remedy: .retryPass, retryAfterSeconds: 90, jitter: 0, nowSeconds: now + 60)
    #expect(schedule.secondsUntilDue(nowSeconds: now + 60) == 90)
  }
}

@Suite struct PassesThatComeAndGoTests {
  @Test("a VM that is removed while its pass runs counts until the end, and gets no further pass")
  func removedWhileRunning() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: .init(intervalSeconds: 10), nowSeconds: 0)
    schedule.add("b", terms: .init(intervalSeconds: 10), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) != nil)
    let running = schedule.takeDue(nowSeconds: 0)
    #expect(running == nil, "the limit is one")
    for name in ["a", "b"] { schedule.remove(name) }
    #expect(schedule.keys.isEmpty)
    #expect(schedule.runningCount == 1)
    for name in ["a", "b"] { schedule.committed(name, startedSeconds: 0, nowSeconds: 5) }
    #expect(schedule.runningCount == 0)
    #expect(schedule.takeDue(nowSeconds: 1000) == nil)
    #expect(schedule.secondsUntilDue(nowSeconds: 1000) == nil)
  }

  @Test("a VM that comes back while its old pass runs does not run twice, and goes on with its new interval")
  func comesBack() {
    var schedule = PassSchedule<String>(limit: 2)
    schedule.add("a", terms: .init(intervalSeconds: 100), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    schedule.remove("a")
    schedule.add("a", terms: .init(intervalSeconds: 20), nowSeconds: 1)
    #expect(schedule.keys == ["a"])
    #expect(schedule.takeDue(nowSeconds: 50) == nil)
    schedule.committed("a", startedSeconds: 0, nowSeconds: 5)
    #expect(schedule.secondsUntilDue(nowSeconds: 5) == 15)
    schedule.add("a", terms: .init(intervalSeconds: 8), nowSeconds: 5)
    #expect(schedule.secondsUntilDue(nowSeconds: 5) == 8, "a shorter interval counts at once")
    schedule.failed("a", remedy: .retryPass, retryAfterSeconds: nil, jitter: 0.5, nowSeconds: 6)
    #expect(schedule.takeDue(nowSeconds: 11) == "a")
  }

  @Test("a place is wanted when a VM is due and none is free")
  func placeWanted() {
    var schedule = PassSchedule<String>(limit: 1)
    schedule.add("a", terms: .init(intervalSeconds: 100), nowSeconds: 0)
    #expect(schedule.takeDue(nowSeconds: 0) == "a")
    #expect(!schedule.isPlaceWanted(nowSeconds: 50))
    schedule.add("b", terms: .init(intervalSeconds: 100), nowSeconds: 50)
    #expect(schedule.isPlaceWanted(nowSeconds: 50))
    schedule.committed("a", startedSeconds: 0, nowSeconds: 60)
    #expect(!schedule.isPlaceWanted(nowSeconds: 60))
  }

  @Test("VMs are added, removed and replaced while the scheduler runs", .timeLimit(.minutes(1)))
  func scheduler() async {
    let ran = Mutex<[String]>([])
    let scheduler = PassScheduler(
      entries: [.init(key: "old", terms: .init(intervalSeconds: 3600))], limit: 2, time: SystemTime()
    ) { key in
      ran.withLock { $0.append(key) }
      return .committed(expectedSeconds: nil)
    }
    func until(_ condition: @Sendable ([String]) -> Bool) async {
      while !condition(ran.withLock { $0 }) { try? await Task.sleep(for: .milliseconds(5)) }
    }
    let running = Task { await scheduler.run() }
    await until { $0 == ["old"] }
    scheduler.replace(with: [.init(key: "new", terms: .init(intervalSeconds: 3600))])
    #expect(scheduler.keys == ["new"])
    await until { $0 == ["old", "new"] }
    scheduler.add(.init(key: "third", terms: .init(intervalSeconds: 3600)))
    await until { $0.count == 3 }
    #expect(!scheduler.isPlaceWanted)
    running.cancel()
    await running.value
    #expect(ran.withLock { $0 } == ["old", "new", "third"])
  }
}

@Suite struct StopSignalTests {
  @Test("whoever watches is woken once, and whoever comes late at once")
  func wake() {
    let stop = StopSignal()
    let woken = Counter()
    stop.whileWatching(wake: { woken.add() }) { stop.set() }
    stop.whileWatching(wake: { woken.add() }) {}
    #expect(stop.isSet && woken.value == 2)
  }

  @Test("whoever has stopped watching is not woken")
  func over() {
    let stop = StopSignal()
    let woken = Counter()
    stop.whileWatching(wake: { woken.add() }) {}
    stop.set()
    #expect(woken.value == 0)
  }
}

@Suite struct WantedPagesTests {
  @Test("pages are wanted until every one of them came, and asking again is counted")
  func wanted() {
    var wanted = WantedPages()
    let runs = [PageRun(kind: .data, firstPage: 10, pageCount: 10)]
    #expect(wanted.ask(runs, disk: 0) == 1)
    wanted.arrived([PageRun(kind: .data, firstPage: 10, pageCount: 4)], disk: 0)
    wanted.arrived([PageRun(kind: .data, firstPage: 0, pageCount: 100)], disk: 1)
    #expect(!wanted.isEmpty)
    #expect(wanted.ask([PageRun(kind: .data, firstPage: 14, pageCount: 6)], disk: 0) == 2)
    wanted.arrived([PageRun(kind: .data, firstPage: 15, pageCount: 2)], disk: 0)
    #expect(!wanted.isEmpty)
    wanted.arrived([PageRun(kind: .zero, firstPage: 0, pageCount: 100)], disk: 0)
    #expect(wanted.isEmpty && wanted.resendsSent == 2)
  }
}
