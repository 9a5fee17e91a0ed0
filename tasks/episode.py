"""The unit of few-shot learning: one task with its support and its query set."""

from typing import Any, NamedTuple


class Episode(NamedTuple):
    """One sampled task. Arrays or tensors; `n` is the support size, `m` the query size.

    Classification orders both sets class by class: n = ways * shots, m = ways * queries.

    support_x: [n, *input_shape] float32, what the learner adapts on
    support_y: [n] int32 labels in [0, ways), or [n, outputs] float32 targets
    query_x:   [m, *input_shape] float32, what it is asked
    query_y:   [m] int32 labels, or [m, outputs] float32 targets
    classes:   [ways] int32, which classes of the split they are; None where there are no classes
    """

    support_x: Any
    support_y: Any
    query_x: Any
    query_y: Any
    classes: Any = None
