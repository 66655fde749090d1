// swift-tools-version: 6.2
// Built by scripts/fuzz, which puts links to the sources beside this file.
import PackageDescription

let sanitized = ["-sanitize=fuzzer,address", "-parse-as-library"]
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"), .unsafeFlags(sanitized),
]

func module(_ name: String, _ dependencies: [Target.Dependency], pages: Bool = false) -> Target {
  .target(
    name: name, dependencies: dependencies, exclude: pages ? ["\(name).docc"] : [], swiftSettings: strict)
}

let package = Package(
  name: "fuzz",
  products: [
    .library(name: "FuzzVMDK", type: .static, targets: ["FuzzVMDK"]),
    .library(name: "FuzzWire", type: .static, targets: ["FuzzWire"]),
  ],
  targets: [
    .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
    .target(name: "CLinux"),
    module("ReplModel", []),
    module("ReplIO", ["CLinux", "ReplModel"]),
    module("ReplCompression", ["CZlib", "CZstd", "ReplModel"]),
    module("ReplVMDK", ["ReplCompression", "ReplIO", "ReplModel"], pages: true),
    module("ReplVMX", ["ReplIO", "ReplModel"], pages: true),
    module("ReplProtocol", ["ReplCompression", "ReplModel"], pages: true),
    // A library: the program's `main` is libFuzzer's, which the package manager would not let it be.
    .target(
      name: "FuzzVMDK", dependencies: ["ReplIO", "ReplModel", "ReplVMDK"], path: "VMDK",
      swiftSettings: strict),
    .target(
      name: "FuzzWire", dependencies: ["ReplCompression", "ReplModel", "ReplProtocol", "ReplVMX"],
      path: "Wire",
      swiftSettings: strict),
  ]
)
