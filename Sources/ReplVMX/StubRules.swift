/// The rules by which a source's VMX becomes a stub, in one table; the first one that fits a name counts.
///
/// A name that no rule knows is kept, unless `StubValue` sees a file, a device or a network endpoint in its
/// value.
enum StubRules {
  static let all: [StubRule] = identity + storage + network + devices + hostState + control + endings

  private static let identity: [StubRule] = [
    StubRule(".encoding", .set("UTF-8"), "the stub is written in UTF-8"),
    StubRule("displayName", .rewrite, "shows that it is the standby"),
    StubRule("annotation", .rewrite, "text for people; disks that are not in the standby are added"),
    StubRule("uuid.bios", .keep, "the VM's identity"),
    StubRule("vc.uuid", .keep, "the VM's identity under vCenter"),
    StubRule("uuid.location", .drop, "belongs to the source's host and path; a mismatch raises a question"),
    StubRule("uuid.action", .set("keep"), "keeps identity and MAC addresses without a question"),
    StubRule("msg.autoAnswer", .set("TRUE"), "lets the VM start without a person"),
    StubRule("answer.*", .drop, "an answer given for the source may be wrong for the standby"),
    StubRule("vm.genid*", .keep, "a failover goes on with the same machine"),
    StubRule("guestinfo.*", .keep, "read by the guest only, as on the source"),
    StubRule("machine.id", .keep, "read by the guest only, as on the source"),
    StubRule("nvram", .rewrite, "the standby's copy has its own name"),
  ]

  private static let storage: [StubRule] = [
    StubRule("*.redo", .drop, "the standby has no snapshots"),
    StubRule("*ctkEnabled", .drop, "the standby's disks have no change tracking file"),
    StubRule("*.changeTrackPath", .drop, "the standby's disks have no change tracking file"),
    StubRule("<bus>#:#.fileName", .rewrite, "names a file of the source that the standby does not have"),
    StubRule("<bus>#:#.present", .rewrite, "only what the standby has is present"),
    StubRule(
      "<bus>#:#.mode", .rewrite, "of a disk that is not in the standby, or that would lose its writes"),
    StubRule("<bus>#:#.sharing", .drop, "the standby's disks are its own"),
    StubRule("<bus>#:#.shared", .drop, "the standby's disks are its own"),
    StubRule("<bus>#.sharedBus", .drop, "the standby's disks are its own"),
    StubRule("<bus>#:#.autodetect", .drop, "would look for a device of the host"),
    StubRule("<bus>#:#.iofilters", .drop, "a filter of the source's host"),
    StubRule("<bus>#:#.filters", .drop, "a filter of the source's host"),
    StubRule("<bus>#:#.sidecars", .drop, "a filter of the source's host"),
    StubRule("<bus>#:#.digest*", .drop, "names a file of the source"),
    StubRule("<bus>#:#.vflash*", .drop, "a cache on the source's host"),
    StubRule("*hbr_filter*", .drop, "another replication's target host and port"),
    StubRule("snapshot.*", .drop, "the standby has no snapshots"),
    StubRule("snapshot#.*", .drop, "the standby has no snapshots"),
    StubRule("extendedConfigFile", .drop, "the file is not copied"),
    StubRule("workingDir", .drop, "a directory of the source's host"),
    StubRule("checkpoint.*", .drop, "a memory file that is not copied"),
  ]

  private static let network: [StubRule] = [
    StubRule("ethernet#.networkName", .rewrite, "no mapping for this network: the adapter is disconnected"),
    StubRule("ethernet#.dvs.*", .drop, "a port of the source's distributed switch"),
    StubRule("ethernet#.opaqueNetwork.*", .drop, "a network of the source's NSX"),
    StubRule("ethernet#.externalId", .drop, "a port of the source's NSX"),
    StubRule("ethernet#.filter*", .drop, "a network filter of the source's host"),
    StubRule("ethernet#.connectionType", .rewrite, "of a network device that the source's host has"),
    StubRule("ethernet#.vnet", .drop, "a network device of the source's host"),
    StubRule("ethernet#.bsdName", .drop, "a network device of the source's host"),
    StubRule("ethernet#.displayName", .drop, "a network device of the source's host"),
    StubRule("ethernet#.address", .rewrite, "not a MAC address that can be kept"),
    StubRule("ethernet#.addressType", .rewrite, "set together with the MAC address"),
    StubRule("ethernet#.generatedAddress*", .drop, "the MAC address is kept as a static one"),
    StubRule("ethernet#.checkMACAddress", .rewrite, "set together with the MAC address"),
  ]

  private static let devices: [StubRule] = [
    StubRule("serial#.present", .set("FALSE"), "may write to a file, device or network of the host"),
    StubRule("serial#.*", .drop, "may name a file, device or network endpoint of the source's host"),
    StubRule("parallel#.present", .set("FALSE"), "may write to a file or device of the host"),
    StubRule("parallel#.*", .drop, "may name a file or device of the source's host"),
    StubRule("floppy#.present", .set("FALSE"), "its image or drive does not exist at the standby's site"),
    StubRule("floppy#.*", .drop, "may name a file or device of the source's host"),
    StubRule("usb.present", .keep, "the virtual controller"),
    StubRule("usb_xhci.present", .keep, "the virtual controller"),
    StubRule("ehci.present", .keep, "the virtual controller"),
    StubRule("*.pciSlotNumber", .keep, "the guest finds its devices by these"),
    StubRule("usb*", .drop, "may name a USB device of the source's host"),
    StubRule("ehci*", .drop, "may name a USB device of the source's host"),
    StubRule("pciPassthru*", .drop, "a PCI device of the source's host"),
    StubRule("*vgpu*", .drop, "a graphics device of the source's host"),
    StubRule("sound.fileName", .drop, "a sound device of the source's host"),
    StubRule("sound.autodetect", .drop, "would look for a sound device of the host"),
    StubRule("sound.startConnected", .set("FALSE"), "the host may have no sound device"),
    StubRule("vtpm.*", .drop, "its secrets are encrypted with keys of the source"),
    StubRule("encryption.*", .drop, "keys of the source"),
    StubRule("dataFileKey", .drop, "keys of the source"),
    StubRule("cryptoState", .drop, "keys of the source"),
  ]

  private static let hostState: [StubRule] = [
    StubRule("sched.*", .drop, "swap files, reservations and affinities of the source's host"),
    StubRule("numa.nodeAffinity", .drop, "processors of the source's host"),
    StubRule("log.fileName", .drop, "a file of the source's host"),
    StubRule("migrate.*", .drop, "files and addresses of a migration at the source"),
    StubRule("vmotion.*", .drop, "the state of a migration at the source"),
    StubRule("hostCPUID.*", .drop, "processors of the source's host"),
    StubRule("guestCPUID.*", .drop, "processors of the source's host"),
    StubRule("userCPUID.*", .drop, "processors of the source's host"),
    StubRule("evcCompatibilityMode", .drop, "the source's cluster"),
    StubRule("monitor.phys_bits_used", .drop, "processors of the source's host"),
    StubRule("vmci0.id", .drop, "given by the source's host"),
    StubRule("cleanShutdown", .drop, "says whether the source was running"),
    StubRule("softPowerOff", .drop, "says how the source was stopped"),
    StubRule("managedVM.*", .drop, "who manages the source does not manage the standby"),
    StubRule("ftcpt.*", .drop, "the source's fault tolerance partner"),
    StubRule("faultTolerance.*", .drop, "the source's fault tolerance partner"),
    StubRule("replay.*", .drop, "a recording of the source"),
  ]

  private static let control: [StubRule] = [
    StubRule("RemoteDisplay.*", .drop, "a network port and its password"),
    StubRule("debugStub.*", .drop, "opens a debugger's network port"),
    StubRule("monitor.debug*", .drop, "stops the VM for a debugger"),
    StubRule("vprobe.*", .drop, "runs probes on the host"),
    StubRule("gdb*", .drop, "opens a debugger's network port"),
    StubRule("isolation.*", .keep, "restricts the guest"),
    StubRule("sharedFolder*", .drop, "directories of the source's host"),
    StubRule("hgfs.*", .drop, "directories of the source's host"),
    StubRule("fileSystem*", .drop, "directories of the source's host"),
    StubRule("toolScripts.*", .keep, "flags for scripts inside the guest"),
    StubRule("tools.deployPkg*", .drop, "a package of the source's host that would run in the guest"),
    StubRule("script*", .drop, "may run something on the host"),
    StubRule("*.script*", .drop, "may run something on the host"),
    StubRule("tools.*script*", .drop, "may run something on the host"),
    StubRule("*include", .drop, "would bring in another file"),
  ]

  /// What a name ends with says what its value is, whatever device or program it belongs to.
  private static let endings: [StubRule] = [
    StubRule("*fileName", .drop, "names a file that is not copied"),
    StubRule("*.file", .drop, "names a file that is not copied"),
    StubRule("*path", .drop, "names a file or directory of the source's host"),
    StubRule("*directory", .drop, "names a directory of the source's host"),
    StubRule("*.dir", .drop, "names a directory of the source's host"),
    StubRule("*.exe", .drop, "names a program of the source's host"),
    StubRule("*.command", .drop, "names a program of the source's host"),
    StubRule("*.hostDevice", .drop, "names a device of the source's host"),
    StubRule("*.port", .drop, "names a network port"),
    StubRule("*.ip", .drop, "names a network address"),
    StubRule("*.host", .drop, "names a host"),
    StubRule("*hostName", .drop, "names a host"),
    StubRule("*.server", .drop, "names a host"),
    StubRule("*.url", .drop, "names a network address"),
    StubRule("*.uri", .drop, "names a network address"),
    StubRule("*proxy*", .drop, "names a network address"),
    StubRule("*password", .drop, "a secret of the source"),
    StubRule("*.key", .drop, "a secret of the source"),
  ]
}
