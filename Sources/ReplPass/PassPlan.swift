/// When passes must start so that all of them commit before their objectives are missed.
enum PassPlan {
  /// What one VM's next pass needs.
  struct Job<Key: Hashable & Sendable>: Sendable {
    let key: Key
    /// By when it must have committed.
    let deadlineSeconds: Double
    /// How long it is expected to take.
    let expectedSeconds: Double
  }

  /// What is set aside for a pass that is expected to take so long: passes differ.
  static func reservedSeconds(_ expected: Double) -> Double { expected * 1.25 + 1 }

  /// The rest between two passes of a VM that starts early. One whose passes take longer than its objective
  /// would otherwise take a place, and its source's disks, without a pause.
  static func restSeconds(after passSeconds: Double) -> Double { max(1, passSeconds / 10) }

  /// From the start of a pass until the next one must start at the latest.
  static func gapSeconds(_ terms: PassTerms) -> Double {
    guard let rpo = terms.rpoSeconds, let expected = terms.expectedSeconds else {
      return terms.intervalSeconds
    }
    return min(terms.intervalSeconds, rpo - reservedSeconds(expected))
  }

  /// The latest start of each: from the last deadline to the first, each pass is put before its deadline and
  /// before those that the places are taken for already. What is too late anyway has its start in the past,
  /// and takes no place from the others. A pass holds its place for `longPassSeconds` at most.
  static func latestStarts<Key>(
    _ jobs: [Job<Key>], places: Int, longPassSeconds: Double, nowSeconds: Double
  ) -> [Key: Double] {
    var takenFrom = [Double](repeating: .infinity, count: max(1, places))
    var starts: [Key: Double] = [:]
    for job in jobs.sorted(by: { $0.deadlineSeconds > $1.deadlineSeconds }) {
      // The place that is free the longest: the pass may start as late as it can.
      let place = takenFrom.indices.max { takenFrom[$0] < takenFrom[$1] } ?? 0
      let start = min(
        job.deadlineSeconds - reservedSeconds(job.expectedSeconds),
        takenFrom[place] - min(job.expectedSeconds, longPassSeconds))
      if start >= nowSeconds { takenFrom[place] = start }
      starts[job.key] = start
    }
    return starts
  }
}
