import ArgumentParser
import Glibc
import ReplIO
import ReplModel
import ReplService
import ReplSource
import ReplVMDK

/// Looks at a VMX or VMDK before it is protected.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a VMX or VMDK is made of and whether it can be protected; 65 when it cannot.",
    discussion: "Reads descriptors and tables only, unless --sha256 asks for the content.")

  @Argument(help: "A .vmx or .vmdk file.")
  var path: String

  @Flag(name: .customLong("sha256"), help: "Hash the whole virtual content of every disk.")
  var hashesContent = false

  @Flag(help: "Print JSON.")
  var json = false

  @Option(help: "Take path_map, devices and exclude_disks from this configuration.")
  var config: String?

  @Option(
    name: .customLong("map"),
    help: ArgumentHelp(
      "Where a path of the virtualisation host lies here; may be repeated.", valueName: "from=to"))
  var mappings: [String] = []

  func validate() throws { _ = try mappings.map(Self.mapping) }

  func run() throws {
    do {
      let request = try request()
      var progress = InspectionProgress()
      let inspection = try Inspection.read(request) { progress.show($0) }
      progress.clear()
      if json {
        Terminal.say(String(decoding: try inspection.json(), as: UTF8.self))
      } else {
        Terminal.say(InspectionReport(inspection).text)
      }
      guard inspection.protectable else { throw Failure.silent(.badData) }
    } catch { throw Failure.explain(error) }
  }

  private func request() throws -> InspectionRequest {
    let path = try Self.absolute(path)
    var request = InspectionRequest(path: path, hashesContent: hashesContent)
    if let config {
      let loaded: SenderConfig
      do throws(ConfigError) { loaded = try SenderConfig.load(path: config) } catch {
        throw Failure.exit(.config, "\(error)")
      }
      request.opening.mappings = loaded.pathMap
      // Of a disk alone: the devices of the VMs in its folder.
      let folder = Self.folder(of: path)
      for vm in loaded.vms where Self.folder(of: vm.vmxPath) == folder {
        guard vm.vmxPath == path || !path.lowercased().hasSuffix(".vmx") else { continue }
        request.opening.devices += vm.devices
        if vm.vmxPath == path { request.excludedDisks = vm.excludedDisks }
      }
    }
    request.opening.mappings = try mappings.map(Self.mapping) + request.opening.mappings
    return request
  }

  /// The folder's links are followed, as in the configuration; the file itself must be no link.
  private static func absolute(_ path: String) throws(IOError) -> String {
    let name = path.split(separator: "/").last.map { String($0) } ?? ""
    let folder = path.hasPrefix("/") ? folder(of: path) : folder(of: "./" + path)
    guard !name.isEmpty, name != ".", name != "..", let resolved = realpath(folder, nil) else {
      throw IOError.current("open", path: path)
    }
    defer { free(resolved) }
    let text = String(cString: resolved)
    return text == "/" ? "/" + name : "\(text)/\(name)"
  }

  private static func folder(of path: String) -> String {
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/")) ?? path.startIndex
    return end == path.startIndex ? "/" : String(path[..<end])
  }

  /// `/vmfs/volumes/x=/srv/ds1`: what stands before may hold an equals sign itself, what comes after begins
  /// with a slash.
  private static func mapping(_ text: String) throws -> PathMapping {
    guard let split = text.firstRange(of: "=/"), split.lowerBound > text.startIndex else {
      throw ValidationError(
        "--map \(SafeText.printable(text)): FROM=TO is expected, with an absolute path of this machine as TO")
    }
    let target = text.index(after: split.lowerBound)
    return PathMapping(prefix: String(text[..<split.lowerBound]), directory: String(text[target...]))
  }
}

/// A line on the terminal that shows how far a disk is, once it has taken two seconds.
private struct InspectionProgress {
  private static let quietSeconds = 2.0
  private static let stepSeconds = 0.1

  private let start = ContinuousClock.now
  private var last = ContinuousClock.now
  private var isShown = false

  mutating func show(_ progress: InspectionRequest.Progress) {
    let now = ContinuousClock.now
    guard Terminal.isInteractive, now - start > .seconds(Self.quietSeconds),
      now - last > .seconds(Self.stepSeconds)
    else { return }
    (last, isShown) = (now, true)
    let share = Int(Double(progress.doneBytes) / Double(max(1, progress.totalBytes)) * 100)
    let verb = progress.step == .content ? "hashed" : "looked through"
    Terminal.complain(
      "\r\u{1B}[2K\(SafeText.printable(progress.file, limit: 40)) \(share)%  \(verb) "
        + "\(AmountText.size(bytes: progress.doneBytes)) of \(AmountText.size(bytes: progress.totalBytes))")
  }

  /// Removes the line, so that the result stands in its place.
  func clear() { if isShown { Terminal.complain("\r\u{1B}[2K") } }
}
