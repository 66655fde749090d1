import ReplModel

/// A status document in the Prometheus text format, version 0.0.4.
public enum MetricsText {
  /// The `Content-Type` of the text.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// `processStart`: when this daemon started. VMs past the limit of 2048 are counted, not listed.
  public static func render(_ document: StatusDocument, processStart: WallTime) -> String {
    var text = MetricsWriter()
    text.family(
      .buildInfo,
      [([("version", document.version), ("role", document.role.rawValue)], "1")])
    text.family(.processStart, [([], seconds(processStart))])
    // What is only found has no series of its own: a folder may hold any number of VMs.
    let protected = document.vms.filter { $0.state != .found }
    text.family(.vmCount, [([], "\(protected.count)")])
    if document.role == .sender {
      text.family(.foundCount, [([], "\(document.vms.count - protected.count)")])
    }
    text.family(.warnings, [([], "\(document.warnings?.count ?? 0)")])
    if let bandwidth = document.bandwidth {
      text.family(.bandwidthLimit, bandwidth.limitBytesPerSecond.map { [([], "\($0)")] } ?? [])
      text.family(.wireSent, [([], "\(bandwidth.sentBytes)")])
    }
    let vms = protected.prefix(ServiceLimits.metricVMs)
    text.family(.vmState, vms.flatMap(states))
    perVM(.recoveryPoint, vms, &text) { $0.newestPoint.map { seconds($0.frozenAt) } }
    perVM(.fuzzyPoint, vms, &text) { $0.fuzzyPoint.map { seconds($0.frozenAt) } }
    perVM(.pointCount, vms, &text) { $0.pointCount.map { "\($0)" } }
    perVM(.oldestPoint, vms, &text) { $0.oldestPoint.map { seconds($0.frozenAt) } }
    perVM(.objective, vms, &text) { number($0.rpoSeconds) }
    if document.role == .sender { forecasts(vms, &text) }
    perVM(.committed, vms, &text) { "\($0.passesCommitted)" }
    perVM(.failed, vms, &text) { "\($0.passesFailed)" }
    perVM(.passStart, vms, &text) { $0.lastPass.map { seconds($0.startedAt) } }
    perVM(.passDuration, vms, &text) { $0.lastPass.map { number($0.durationSeconds) } }
    perVM(.passRead, vms, &text) { $0.lastPass.map { "\($0.readBytes)" } }
    perVM(.passChanged, vms, &text) { $0.lastPass.map { "\($0.changedBytes)" } }
    perVM(.passWire, vms, &text) { $0.lastPass.map { "\($0.wireBytes)" } }
    perVM(.runningDone, vms, &text) { $0.running.map { "\($0.doneBytes)" } }
    perVM(.runningTotal, vms, &text) { $0.running.map { "\($0.totalBytes)" } }
    perVM(.clockSkew, vms, &text) { $0.clockSkewSeconds.map(number) }
    perVM(.freezeHold, vms, &text) { $0.lastFreeze.map { number($0.heldSeconds) } }
    perVM(.guestHold, vms, &text) { $0.lastFreeze?.guestHeldSeconds.map(number) }
    hints(vms, &text)
    perVM(.leftovers, vms, &text) { vm in vm.lastFreeze.map { _ in vm.leftovers == nil ? "0" : "1" } }
    perVM(.seedingDisks, vms, &text) { $0.disks.map { "\($0.count { $0.state == .seeding })" } }
    perVM(.vmBandwidthLimit, vms, &text) { $0.bandwidth?.limitBytesPerSecond.map { "\($0)" } }
    perVM(.vmWireSent, vms, &text) { $0.bandwidth.map { "\($0.sentBytes)" } }
    if document.role == .receiver {
      perVM(.suspectPages, vms, &text) { vm in "\(vm.suspicion.map { max(1, $0.pageCount ?? 1) } ?? 0)" }
      perVM(.divergedSince, vms, &text) { $0.divergence.map { seconds($0.since) } }
      perVM(.verifiedAt, vms, &text) { $0.verification.map { seconds($0.lastAt) } }
      perVM(.verifiedWhole, vms, &text) { $0.verification?.completeAt.map(seconds) }
      perVM(.verifyDone, vms, &text) { $0.verification.map { "\($0.doneBytes)" } }
    }
    perVM(.failure, vms, &text) { $0.lastFailure.map { seconds($0.at) } }
    return text.text
  }

  private static func hints(_ vms: ArraySlice<VMStatus>, _ text: inout MetricsWriter) {
    perVM(.cloneSeconds, vms, &text) { $0.lastFreeze?.cloneSeconds.map(number) }
    perVM(.hintedDisks, vms, &text) { vm in
      vm.hint.map { "\($0.disks.count { $0.refusal == nil && $0.contradictionOffset == nil })" }
    }
    perVM(.hintChanged, vms, &text) { vm in
      vm.hint.map { "\($0.disks.reduce(Int64(0)) { $0 + ($1.changedBytes ?? 0) })" }
    }
    perVM(.hintAudited, vms, &text) { vm in
      vm.hint.map { "\($0.disks.reduce(Int64(0)) { $0 + $1.auditedBytes })" }
    }
    perVM(.hintContradictions, vms, &text) { $0.hint.map { "\($0.contradictions)" } }
    perVM(.hintKept, vms, &text) { $0.hint?.keptSince.map(seconds) }
  }

  private static func perVM(
    _ metric: MetricName, _ vms: ArraySlice<VMStatus>, _ text: inout MetricsWriter,
    _ value: (VMStatus) -> String?
  ) {
    text.family(metric, vms.compactMap { vm in value(vm).map { (labels(vm), $0) } })
  }

  private static func forecasts(_ vms: ArraySlice<VMStatus>, _ text: inout MetricsWriter) {
    text.family(
      .rpoForecast,
      vms.flatMap { vm -> [MetricsWriter.Sample] in
        guard let forecast = vm.rpoForecast else { return [] }
        return VMStatus.Forecast.Verdict.allCases.map {
          (labels(vm) + [("verdict", $0.rawValue)], forecast.verdict == $0 ? "1" : "0")
        }
      })
    perVM(.breachExpected, vms, &text) { vm in
      guard let forecast = vm.rpoForecast, [.atRisk, .missed].contains(forecast.verdict) else { return nil }
      return forecast.breachAt.map(seconds)
    }
    perVM(.commitExpected, vms, &text) { $0.rpoForecast?.commitAt.map(seconds) }
    text.family(
      .stageSeconds,
      vms.flatMap { vm -> [MetricsWriter.Sample] in
        (vm.stageSeconds?.all ?? []).map {
          (labels(vm) + [("stage", $0.0.rawValue)], number($0.1))
        }
      })
  }

  private static func states(_ vm: VMStatus) -> [MetricsWriter.Sample] {
    VMStatus.State.allCases.filter { $0 != .found }.map { state in
      (labels(vm) + [("state", state.rawValue)], vm.state == state ? "1" : "0")
    }
  }

  private static func labels(_ vm: VMStatus) -> [(String, String)] {
    [("vm", vm.name), ("vm_id", "\(vm.vm)")]
  }

  private static func seconds(_ time: WallTime) -> String {
    number(Double(time.millisecondsSince1970) / 1000)
  }

  /// Whole numbers without a fraction.
  private static func number(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? (value.isFinite ? "\(value)" : "NaN")
  }
}

/// Writes the text format: a family's HELP and TYPE, then its samples.
private struct MetricsWriter {
  typealias Sample = (labels: [(String, String)], value: String)

  private(set) var text = ""

  /// A family without samples is left out.
  mutating func family(_ metric: MetricName, _ samples: [Sample]) {
    guard !samples.isEmpty else { return }
    text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
    for sample in samples {
      text += metric.name
      if !sample.labels.isEmpty {
        text += "{" + sample.labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",") + "}"
      }
      text += " \(sample.value)\n"
    }
  }

  /// Printable and of limited length; backslash and quote escaped.
  private static func escaped(_ value: String) -> String {
    var result = ""
    for character in SafeText.printable(value, limit: ServiceLimits.metricLabelCharacters).unicodeScalars {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}
