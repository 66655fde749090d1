import ReplModel
import Testing

@Suite("Parts of the day") struct DailyWindowTests {
  @Test("a window over midnight holds both sides, and knows which of them began the day before")
  func overMidnight() throws {
    let window = try #require(DailyWindow("22:00-05:00"))
    for (minute, isInside) in [
      (1319, false), (1320, true), (1439, true), (0, true), (299, true), (300, false),
    ] {
      #expect(window.contains(minute: minute) == isInside, "\(minute)")
    }
    #expect(!window.beganYesterday(minute: 1320) && window.beganYesterday(minute: 299))
    #expect("\(window)" == "22:00-05:00")
  }

  @Test("a window inside a day, and one of the whole day")
  func insideADay() throws {
    let window = try #require(DailyWindow("01:30-02:00"))
    #expect(window.contains(minute: 90) && !window.contains(minute: 120) && !window.contains(minute: 0))
    #expect(!window.beganYesterday(minute: 95))
    #expect(try #require(DailyWindow("00:00-00:00")).contains(minute: 700))
  }

  @Test(
    "anything else is no window",
    arguments: [
      "", "22:00", "22:00-24:00", "22-05", "2:00-05:00", "22:60-05:00", "22:00-05:00-06:00", "22:00 - 05:00",
      "-1:00-05:00", "22:0a-05:00",
    ])
  func refused(text: String) { #expect(DailyWindow(text) == nil) }
}
