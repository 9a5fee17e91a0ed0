"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people.

tensorflow-datasets (TFDS) provides the drawings (`source`). They are decoded once, to 28x28 pixels
(`characters`), and kept in the user's cache (`cache`). `tasks.omniglot.Omniglot` is the path under
which settings name the task (`task`).
"""

from tasks.omniglot.task import Omniglot

__all__ = ["Omniglot"]
