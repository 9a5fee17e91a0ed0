"""Programs of their own that train no benchmark: speed, kernels, theory."""
