import FoundationEssentials
import ReplModel
import ReplProtocol
import ReplTLS

extension SignedClaim {
  /// Signs what this installation has found.
  static func sign(_ claim: ProofClaim, as identity: TLSIdentity) throws(ProofError) -> SignedClaim {
    do throws(TLSError) {
      let signature = try identity.sign(Array(claim.signedText.utf8))
      return SignedClaim(
        claim: claim, publicKey: try identity.publicKeyPEM(),
        signature: Data(signature).base64EncodedString())
    } catch { throw .signing(error) }
  }

  /// Throws unless the signature is one over the claim's text, by the key whose fingerprint it names.
  func checkSignature() throws(ProofError) {
    let side = claim.role.rawValue
    let (key, pem): (PublicKey, String)
    do throws(TLSError) {
      key = try PublicKey(pem: publicKey)
      pem = try key.pem()
    } catch { throw .untrue("the public key of the \(side) cannot be read: \(error)") }
    guard key.fingerprint == claim.fingerprint else {
      throw .untrue(
        "the \(side) claims the fingerprint \(claim.fingerprint), its key has \(key.fingerprint)")
    }
    // One spelling each, so that a statement that was changed is never as good as the one that was signed.
    guard let bytes = Data(base64Encoded: signature), bytes.base64EncodedString() == signature,
      pem == publicKey,
      key.verify([UInt8](bytes), of: Array(claim.signedText.utf8))
    else { throw .untrue("the signature of the \(side) is not one over what it claims") }
  }

  /// As above; the key is also the one that the other side showed in TLS.
  func checkSignature(of peer: Fingerprint) throws(ProofError) {
    try checkSignature()
    guard claim.fingerprint == peer else {
      throw .untrue(
        "the \(claim.role.rawValue) signed with \(claim.fingerprint) and showed \(peer) in TLS")
    }
  }
}
