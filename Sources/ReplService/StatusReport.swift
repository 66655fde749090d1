import ReplModel

/// What `status` prints.
public enum StatusReport {
  /// From the daemon when it answers on `http`, else from what `offline` finds on disk.
  public static func fetch(
    from http: NetworkAddress?, offline: () throws -> StatusDocument
  ) async throws -> StatusDocument {
    if let http, let document = try await StatusClient.fetch(from: http) { return document }
    return try offline()
  }

  /// The text for the terminal, or JSON; with its final line feed.
  public static func text(
    _ document: StatusDocument, json: Bool, now: WallTime
  ) throws(StatusJSONError) -> String {
    guard json else { return StatusTable.render(document, now: now) + "\n" }
    return String(decoding: try StatusJSON.encode(document, now: now), as: UTF8.self)
  }
}
