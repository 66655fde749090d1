import Glibc
import Testing

/// VMware's own reader and writer of VMX lines, from open-vm-tools' `libvmtools.so.0` (`DictLL_*`).
struct VMwareDictionary {
  /// Whether the library is there; in CI it must be.
  static let isUsable = getenv("CI") != nil || dlopen(name, RTLD_NOW) != nil
  static let name = "libvmtools.so.0"

  /// One line as the library sees it; name and value are nil for what it does not parse.
  struct Line: Hashable {
    let name: [UInt8]?
    let value: [UInt8]?
  }

  struct Missing: Error, CustomStringConvertible {
    let description: String
  }

  /// `struct DynBuf` of open-vm-tools.
  private struct DynamicBuffer {
    var data: UnsafeMutableRawPointer?
    var size = 0
    var allocated = 0
  }

  private typealias Text = UnsafeMutablePointer<CChar>
  private typealias TextSlot = UnsafeMutablePointer<Text?>
  private typealias Marshal =
    @convention(c) (UnsafeMutableRawPointer, UnsafePointer<UInt8>, UnsafePointer<UInt8>) -> CChar
  private typealias ReadLine =
    @convention(c) (UnsafeMutablePointer<FILE>, TextSlot, TextSlot, TextSlot) -> CInt
  private typealias ReadMark = @convention(c) (UnsafeMutablePointer<FILE>) -> CChar
  private typealias Destroy = @convention(c) (UnsafeMutableRawPointer) -> Void

  private let marshal: Marshal
  private let readLine: ReadLine
  private let readMark: ReadMark
  private let destroy: Destroy

  init() throws {
    guard let library = dlopen(Self.name, RTLD_NOW) else {
      throw Missing(description: "\(Self.name) (Debian: open-vm-tools) is not installed, and CI needs it")
    }
    func symbol<Function>(_ name: String, _: Function.Type) throws -> Function {
      guard let address = dlsym(library, name) else {
        throw Missing(description: "\(Self.name) has no \(name)")
      }
      return unsafeBitCast(address, to: Function.self)
    }
    marshal = try symbol("DictLL_MarshalLine", Marshal.self)
    readLine = try symbol("DictLL_ReadLine", ReadLine.self)
    readMark = try symbol("DictLL_ReadUTF8BOM", ReadMark.self)
    destroy = try symbol("DynBuf_Destroy", Destroy.self)
  }

  /// The line that VMware writes, with its line end. Neither text holds a NUL.
  func line(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
    var buffer = DynamicBuffer()
    return withUnsafeMutablePointer(to: &buffer) { pointer in
      defer { destroy(pointer) }
      guard marshal(pointer, name + [0], value + [0]) != 0, let data = pointer.pointee.data else { return [] }
      return Array(UnsafeRawBufferPointer(start: data, count: pointer.pointee.size))
    }
  }

  /// Reads a file as VMware does: byte order mark, then line by line.
  func read(_ bytes: [UInt8]) throws -> [Line] {
    guard !bytes.isEmpty else { return [] }
    var copy = bytes
    return try copy.withUnsafeMutableBytes { buffer in
      guard let stream = fmemopen(buffer.baseAddress, buffer.count, "r") else {
        throw Missing(description: "fmemopen: \(errno)")
      }
      defer { fclose(stream) }
      _ = readMark(stream)
      var lines: [Line] = []
      while true {
        var (line, name, value): (Text?, Text?, Text?)
        guard readLine(stream, &line, &name, &value) == 2 else { return lines }
        lines.append(Line(name: Self.take(name), value: Self.take(value)))
        free(line)
      }
    }
  }

  private static func take(_ text: Text?) -> [UInt8]? {
    guard let text else { return nil }
    defer { free(text) }
    return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }
}

extension Trait where Self == ConditionTrait {
  /// A test against VMware's library: skipped with this reason where it is missing, failing there in CI.
  static var needsVMwareDictionary: ConditionTrait {
    .enabled(if: VMwareDictionary.isUsable, "needs \(VMwareDictionary.name) (package open-vm-tools)")
  }
}
