import Testing

/// Tests with the two real executables, one after the other: they measure time and use both cores.
@Suite(.serialized) enum EndToEnd {}

/// Tests with the real executables that mostly wait for deadlines in real time: one after the other as well,
/// beside those of `EndToEnd`.
@Suite(.serialized) enum RealTime {}
