import Testing

@testable import ReplSender

@Suite struct SeedTimeTests {
  @Test(
    "a seed session lasts until the next pass is due, and gets a slice where passes take all of the interval",
    arguments: [
      (600.0, 60.0, 540.0), (600, 590, 30), (600, 600, 30), (600, 4000, 30), (10, 2, 8), (10, 11, 2.5),
    ])
  func seconds(interval: Double, passed: Double, expected: Double) {
    #expect(SenderRuntime.seedSeconds(interval: interval, passed: passed) == expected)
  }
}
