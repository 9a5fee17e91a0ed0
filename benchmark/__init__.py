"""What is measured: training, evaluation, record; and `adapt`, to use what came out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.adaptation import adapt

__all__ = ["adapt"]


def __getattr__(name: str) -> Any:
    """`benchmark.adapt` needs TensorFlow, so it is imported where it is first used."""
    if name != "adapt":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchmark.running.startup import without_noise

    with without_noise():
        import tensorflow as tf

        from benchmark.adaptation import adapt

        tf.constant(0)  # devices start here, and say so
    globals()["adapt"] = adapt
    return adapt
