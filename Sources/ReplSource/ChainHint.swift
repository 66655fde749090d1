import ReplIO
import ReplModel
import ReplVMDK

/// The provider `chain`: bytes that come from links which nobody touched, and that no other link hid then or
/// hides now, are what they were.
final class ChainHint: HintProvider {
  /// Of ranges that are kept of one link: the record stays small.
  private static let rangesOfLink = 4096
  /// A write this shortly before the look may not show in the times of the file: coarse clocks of
  /// filesystems, and clocks of two machines.
  static let settleNanoseconds: Int64 = 2_000_000_000

  private let frozenAt: WallTime

  init(frozenAt: WallTime) { self.frozenAt = frozenAt }

  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer {
    do throws(HintRefusal) {
      guard let image = disk.image as? VMDKImage else { throw .noImage }
      let now = try links(of: image)
      let token = HintRecord.Token(links: now)
      do throws(HintRefusal) {
        guard let before = known?.token.links else { throw .noRecord }
        return HintAnswer(changed: .success(try Self.changed(from: before, to: now)), token: token)
      } catch { return HintAnswer(changed: .failure(error), token: token) }
    } catch { return HintAnswer(changed: .failure(error), token: nil) }
  }

  /// What links above the untouched ones hid or hide. Also right when a snapshot was taken, deleted or
  /// reverted to: what the links that are gone had hidden is in the record.
  static func changed(
    from before: [HintRecord.Link], to now: [HintRecord.Link]
  ) throws(HintRefusal) -> HintedRanges {
    let untouched = zip(before, now).prefix { old, new in
      old.isSettled && old.files == new.files && old.contentID == new.contentID
    }.count
    guard untouched > 0 else {
      throw HintRefusal(
        "the base of its chain was written to, replaced, or written shortly before the last pass")
    }
    var changed = HintedRanges()
    for link in before[untouched...] + now[untouched...] {
      guard link.present.count.isMultiple(of: 2) else { throw HintRefusal("the record is damaged") }
      for index in stride(from: 0, to: link.present.count, by: 2) {
        guard let range = ByteRange(checkedOffset: link.present[index], length: link.present[index + 1])
        else { throw HintRefusal("the record is damaged") }
        changed.add(range)
      }
    }
    changed.settle()
    return changed
  }

  /// The base first.
  private func links(of image: VMDKImage) throws(HintRefusal) -> [HintRecord.Link] {
    var links: [HintRecord.Link] = []
    for (index, link) in image.links.enumerated().reversed() {
      guard link.files.allSatisfy({ $0.status.isRegularFile }) else {
        throw HintRefusal("\(link.path) is a device, whose times say nothing")
      }
      let isBase = index == image.links.count - 1
      links.append(
        HintRecord.Link(
          files: link.files.map(Self.identity), contentID: link.contentID,
          isSettled: link.files.allSatisfy { isOld($0.status) },
          present: isBase ? [] : try present(image, index)))
    }
    return links
  }

  /// The device number is left out: snapshots of a storage are mounted under another one each time.
  private static func identity(_ file: VMDKFile) -> HintRecord.File {
    HintRecord.File(
      path: file.relativePath, inode: file.status.inode, sizeBytes: file.status.sizeBytes,
      modifiedNanoseconds: file.status.modifiedNanoseconds,
      changedNanoseconds: file.status.changedNanoseconds)
  }

  private func isOld(_ status: FileStatus) -> Bool {
    let frozen = frozenAt.millisecondsSince1970 * 1_000_000
    return max(status.modifiedNanoseconds, status.changedNanoseconds) < frozen - Self.settleNanoseconds
  }

  private func present(_ image: VMDKImage, _ index: Int) throws(HintRefusal) -> [Int64] {
    var ranges = HintedRanges(limit: Self.rangesOfLink)
    do throws(IOError) {
      var position: Int64 = 0
      while let range = try image.presentRange(inLink: index, atOrAfter: position) {
        ranges.add(range)
        position = range.end
      }
    } catch { throw HintRefusal("the tables of \(image.links[index].path) cannot be read: \(error)") }
    ranges.settle()
    return ranges.ranges.flatMap { [$0.offset, $0.length] }
  }
}
