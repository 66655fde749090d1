import Testing

@testable import ReplModel

/// Limits by the time of the week.
@Suite struct BandwidthPlanTests {
  private func window(
    _ days: String, _ time: String, _ limit: Int64?
  ) throws -> BandwidthPlan.Window {
    BandwidthPlan.Window(
      days: try #require(Weekday.days(days)), time: try #require(DailyWindow(time)), bytesPerSecond: limit)
  }

  private func moment(_ day: Weekday, _ hour: Int, _ minute: Int = 0) -> LocalMoment {
    LocalMoment(weekday: day, minute: hour * 60 + minute)
  }

  @Test("days are read and written as people write them")
  func days() {
    #expect(Weekday.days("mon-fri")?.count == 5)
    #expect(Weekday.days("sat-mon") == [.saturday, .sunday, .monday])
    #expect(Weekday.days("sun") == [.sunday])
    for wrong in ["", "mo", "mon-", "-fri", "mon-tue-wed", "Monday", "mon tue"] {
      #expect(Weekday.days(wrong) == nil, "\(wrong)")
    }
    #expect(Weekday.text([.monday, .tuesday, .wednesday, .friday]) == "mon-wed,fri")
    #expect(Weekday.text(Set(Weekday.allCases)) == "daily")
    #expect(Weekday.text([.saturday, .sunday, .monday]) == "mon,sat-sun")
    #expect(Weekday.monday.yesterday == .sunday)
  }

  @Test("a window belongs to the days on which it begins, over midnight and over the end of the week")
  func overMidnight() throws {
    let plan = BandwidthPlan(bytesPerSecond: 10, windows: [try window("fri-sun", "22:00-06:00", 99)])
    let cases: [(LocalMoment, Int64)] = [
      (moment(.friday, 5, 59), 10), (moment(.friday, 21, 59), 10), (moment(.friday, 22), 99),
      (moment(.saturday, 5, 59), 99), (moment(.saturday, 6), 10), (moment(.sunday, 23, 59), 99),
      (moment(.monday, 0), 99), (moment(.monday, 5, 59), 99), (moment(.monday, 6), 10),
      (moment(.monday, 22), 10), (moment(.thursday, 23), 10),
    ]
    for (moment, expected) in cases { #expect(plan.rule(at: moment).bytesPerSecond == expected, "\(moment)") }
  }

  @Test("a window whose ends are the same lasts a day from there, and one to midnight ends there")
  func wholeDays() throws {
    let from8 = try window("sat", "08:00-08:00", 1)
    #expect(!from8.contains(moment(.saturday, 7, 59)) && from8.contains(moment(.saturday, 8)))
    #expect(from8.contains(moment(.sunday, 7, 59)) && !from8.contains(moment(.sunday, 8)))
    let evening = try window("sun", "18:00-00:00", 1)
    #expect(evening.contains(moment(.sunday, 23, 59)) && !evening.contains(moment(.monday, 0)))
  }

  @Test("where windows overlap the lowest limit holds, whatever their order, and it says which")
  func overlap() throws {
    let day = try window("mon-fri", "08:00-18:00", 5)
    let noon = try window("wed", "12:00-13:00", 2)
    let open = try window("wed", "12:30-14:00", nil)
    for windows in [[day, noon, open], [open, noon, day]] {
      let plan = BandwidthPlan(bytesPerSecond: 1, windows: windows)
      #expect(plan.rule(at: moment(.wednesday, 12, 45)) == .init(bytesPerSecond: 2, window: noon))
      #expect(plan.rule(at: moment(.wednesday, 13, 30)) == .init(bytesPerSecond: 5, window: day))
      #expect(plan.rule(at: moment(.wednesday, 18)) == .init(bytesPerSecond: 1, window: nil))
    }
    #expect("\(noon)" == "wed 12:00-13:00")
    #expect(
      BandwidthPlan(bytesPerSecond: 1, windows: [open]).rule(at: moment(.wednesday, 13)).bytesPerSecond == nil
    )
  }
}
