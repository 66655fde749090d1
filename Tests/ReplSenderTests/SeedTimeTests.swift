import Testing

@testable import ReplSender

@Suite struct SeedTimeTests {
  @Test(
    "a seed session lasts until the next pass is due, and gets a slice where passes take all of the interval",
    arguments: [
      (600.0, 600.0, 60.0, 540.0), (600, 600, 590, 30), (600, 600, 4000, 30), (10, 10, 2, 8),
      (10, 10, 11, 2.5),
      (600, 400, 60, 340), (600, -50, 60, 30),
    ])
  func seconds(interval: Double, gap: Double, passed: Double, expected: Double) {
    #expect(SenderRuntime.seedSeconds(interval: interval, gap: gap, passed: passed) == expected)
  }
}
