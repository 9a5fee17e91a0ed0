"""What is read: records of runs as tables, figures and a report; no TensorFlow needed."""
