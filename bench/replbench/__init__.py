"""The benchmark of whole passes: see bench/README.md."""
