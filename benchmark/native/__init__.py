"""The inner loop of the paper's network in native code; see README.md."""
