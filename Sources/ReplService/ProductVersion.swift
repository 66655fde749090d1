/// The version of this product: in the banner, in `--version`, in status and metrics.
public enum ProductVersion {
  public static let current = "0.1.0"
}
