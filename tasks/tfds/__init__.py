"""Any image classification data set of tensorflow-datasets (TFDS).

TFDS finds, downloads and reads it (`source`), lists say which classes are for training and for the
test (`class_lists`). `tasks.tfds.Tfds` is the path under which settings name the task (`task`).
"""

from tasks.tfds.task import Tfds

__all__ = ["Tfds"]
