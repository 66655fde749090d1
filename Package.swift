// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
]

/// A library of ours. The order of the list is that of the layering table (CONTRIBUTING.md): dependencies
/// point up.
func module(_ name: String, _ dependencies: [Target.Dependency] = [], pages: Bool = false) -> Target {
  .target(
    name: name, dependencies: dependencies, exclude: pages ? ["\(name).docc"] : [], swiftSettings: strict)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let nio = ["NIOCore", "NIOPosix", "NIOHTTP1"].map {
  Target.Dependency.product(name: $0, package: "swift-nio")
}

let package = Package(
  name: "vmrepl",
  products: [
    .executable(name: "repl-sender", targets: ["ReplSender"]),
    .executable(name: "repl-receiver", targets: ["ReplReceiver"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Level 0
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "CLinux"),
    module("ReplModel"),
    // Level 1
    module("ReplIO", ["CLinux", "ReplModel"]),
    module("ReplCompression", ["CZlib", "CZstd", "ReplModel"]),
    module("ReplTLS", ["COpenSSL", "ReplIO", "ReplModel"], pages: true),
    module("ReplDigest", ["COpenSSL", "ReplIO", "ReplModel"], pages: true),
    // Level 2
    module("ReplVMDK", ["ReplCompression", "ReplIO", "ReplModel"], pages: true),
    module("ReplVMX", ["ReplIO", "ReplModel"], pages: true),
    module("ReplProtocol", ["ReplCompression", "ReplModel"], pages: true),
    module("ReplStandby", ["ReplCompression", "ReplDigest", "ReplIO", "ReplModel"], pages: true),
    module("ReplCommand", ["ReplIO", "ReplModel", subprocess]),
    // Level 3
    module("ReplTransport", ["ReplIO", "ReplModel", "ReplProtocol", "ReplTLS"], pages: true),
    module(
      "ReplSource",
      ["ReplCommand", "ReplCompression", "ReplDigest", "ReplIO", "ReplModel", "ReplVMDK", "ReplVMX"],
      pages: true),
    module("ReplFailover", ["ReplCommand", "ReplIO", "ReplModel", "ReplStandby", "ReplVMDK", "ReplVMX"]),
    // Level 4
    module(
      "ReplPass",
      [
        "ReplCompression", "ReplDigest", "ReplIO", "ReplModel", "ReplProtocol", "ReplSource", "ReplStandby",
        "ReplTLS", "ReplTransport",
      ], pages: true),
    module(
      "ReplService",
      [
        "ReplCommand", "ReplIO", "ReplModel", "ReplSource", "ReplVMDK", logging, lifecycle,
        .product(name: "Yams", package: "Yams"),
      ] + nio),
    // Level 5
    program(
      "ReplSender",
      [
        "ReplCommand", "ReplDigest", "ReplIO", "ReplModel", "ReplPass", "ReplProtocol", "ReplService",
        "ReplSource", "ReplTLS", "ReplTransport", "ReplVMDK", "ReplVMX", argumentParser, lifecycle, logging,
        signals,
      ]),
    program(
      "ReplReceiver",
      [
        "ReplCommand", "ReplFailover", "ReplIO", "ReplModel", "ReplPass", "ReplService", "ReplStandby",
        "ReplTLS", "ReplTransport", argumentParser, lifecycle, logging,
      ]),
    // For scripts/bench; nothing that is shipped.
    .executableTarget(
      name: "ReplBench",
      dependencies: [
        "ReplCompression", "ReplDigest", "ReplIO", "ReplModel", "ReplProtocol", "ReplSource", "ReplStandby",
        "ReplTLS", "ReplTransport",
      ],
      path: "bench/ReplBench", swiftSettings: strict),
    // Tests
    module("ReplTestKit", ["ReplIO", "ReplModel"]),
    tests("ReplModelTests", ["ReplModel"]),
    tests("ReplIOTests", ["ReplIO", "ReplModel"]),
    tests("ReplCompressionTests", ["ReplCompression", "ReplModel"]),
    tests("ReplTLSTests", ["ReplIO", "ReplModel", "ReplTLS"]),
    tests("ReplDigestTests", ["COpenSSL", "ReplDigest", "ReplIO", "ReplModel"]),
    tests("ReplVMDKTests", ["ReplCompression", "ReplIO", "ReplModel", "ReplVMDK"]),
    tests("ReplVMXTests", ["ReplIO", "ReplModel", "ReplVMX"]),
    tests("ReplProtocolTests", ["ReplCompression", "ReplModel", "ReplProtocol"]),
    tests("ReplCommandTests", ["ReplCommand"]),
    tests(
      "ReplStandbyTests",
      ["ReplCompression", "ReplDigest", "ReplIO", "ReplModel", "ReplStandby", "ReplTestKit"]),
    tests(
      "ReplTransportTests",
      ["ReplIO", "ReplModel", "ReplProtocol", "ReplTLS", "ReplTestKit", "ReplTransport"]),
    tests(
      "ReplSourceTests",
      [
        "ReplCommand", "ReplCompression", "ReplDigest", "ReplIO", "ReplModel", "ReplSource", "ReplTestKit",
        "ReplVMDK", "ReplVMX",
      ]),
    tests(
      "ReplFailoverTests",
      ["ReplDigest", "ReplFailover", "ReplIO", "ReplModel", "ReplStandby", "ReplTestKit"]),
    tests(
      "ReplPassTests",
      [
        "ReplDigest", "ReplIO", "ReplModel", "ReplPass", "ReplProtocol", "ReplSource", "ReplStandby",
        "ReplTLS",
        "ReplTestKit", "ReplTransport",
      ]),
    tests(
      "ReplServiceTests",
      ["ReplCommand", "ReplIO", "ReplModel", "ReplService", "ReplSource", "ReplVMDK", logging],
      exclude: ["Configs"]),
    tests(
      "ReplSenderTests",
      [
        "ReplCommand", "ReplIO", "ReplModel", "ReplPass", "ReplSender", "ReplService", "ReplSource",
        "ReplTestKit", "ReplVMDK",
      ]),
    tests("TidyTests", []),
    tests(
      "EndToEndTests",
      ["ReplCompression", "ReplIO", "ReplModel", "ReplReceiver", "ReplSender", "ReplService", "ReplTestKit"]),
  ]
)
