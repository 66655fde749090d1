import ReplIO
import ReplModel
import ReplVMDK

/// The provider `none`: the files as they lie there, right for a VM that is powered off.
///
/// That it stands still is checked, not believed: locks and swap files before and after the read, and after
/// it identity, size and times of every file, opened anew, and the content identity of every link. With
/// `allowFuzzy` a running VM is read all the same and the point says so.
struct PoweredOffProvider: FreezeProvider {
  let subject: FreezeSubject

  func prepare(_ record: inout FreezeRecord, _ commands: FreezeCommands) throws(SourceError) {
    try refuseRunning(RunningEvidence(folder: subject.folder).inFolder())
    // Disks that cannot be read are refused before a guest is bothered.
    _ = try subject.openDisks()
  }

  func freeze(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) {}

  func open(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) -> FrozenDisks {
    let frozenAt = steps.time.wallTime()
    let disks = try subject.openDisks()
    let evidence = try RunningEvidence(folder: subject.folder).find(disks: disks.images)
    try refuseRunning(evidence)
    try subject.checkSameDisks()
    if evidence == nil, subject.vmx.document["cleanShutdown"]?.lowercased() == "false" {
      steps.report(
        FreezeEvent(
          .warning,
          "cleanShutdown is FALSE in the VMX although no lock is seen: the VM's host crashed, or it runs "
            + "where its locks cannot be seen from here (VMFS, NFS 4.1): its files are watched"))
    }
    let stillness = Stillness(of: disks, vmxPath: subject.path, watchesLocks: true)
    return FrozenDisks(
      disks: disks, frozenAt: frozenAt, label: evidence == nil ? .crashConsistent : .fuzzy,
      vmx: subject.vmx.bytes, nvram: try subject.folder.readNVRAM(subject.vmx),
      stillness: stillness.watching(disks, subject.request.opening))
  }

  private func refuseRunning(_ evidence: String?) throws(SourceError) {
    guard let evidence, !subject.request.freeze.allowFuzzy else { return }
    throw .running(path: subject.path, evidence: evidence)
  }
}
