import ReplModel
import ReplStandby

/// Finds a standby by what people call it.
public struct StandbySearch: Sendable {
  /// A standby that was found, with the store that it is in.
  public struct Found: Sendable {
    public let store: StandbyStore
    public let summary: StandbySummary
    public let catalog: Catalog
  }

  private let stores: [StandbyStore]

  public init(stores: [StandbyStore]) { self.stores = stores }

  /// By the VM's name, its UUID or the name of its folder.
  public func find(_ name: String) throws(FailoverError) -> Found {
    var found: [Found] = []
    var known: [String] = []
    var (unreadable, meant): ([String], [String]) = ([], [])
    do throws(StandbyError) {
      for store in stores {
        for summary in try store.standbys() {
          guard let catalog = summary.catalog else {
            let problem = summary.problem.map { "\($0)" } ?? "no catalog"
            unreadable.append(problem)
            if StandbyStore.isDirectory(summary.directory, ofVMCalled: name) { meant.append(problem) }
            continue
          }
          known.append(SafeText.printable(catalog.displayName))
          let names = [catalog.displayName, summary.directory, "\(catalog.vm)"]
          if names.contains(name) { found.append(Found(store: store, summary: summary, catalog: catalog)) }
        }
      }
    } catch { throw .standby(error) }
    guard let first = found.first else {
      if !meant.isEmpty { throw .unreadable(name, problems: meant) }
      throw .noSuchVM(name, known: known, unreadable: unreadable)
    }
    guard found.count == 1 else { throw .ambiguousVM(name, matches: found.map { "\($0.catalog.vm)" }) }
    return first
  }
}
