"""Where a run is shown while it runs: nothing, TensorBoard, MLflow or Weights & Biases."""
