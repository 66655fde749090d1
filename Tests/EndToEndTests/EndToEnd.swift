import Testing

/// Tests with the two real executables, one after the other: they measure time and use both cores.
@Suite(.serialized) enum EndToEnd {}
