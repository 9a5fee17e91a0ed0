"""The inner optimisers' equations alone, on flat parameter vectors."""

from typing import Any

BETA_2 = 0.999
EPSILON = 1e-8


def sgd_update(params: Any, gradient: Any, learning_rate: float) -> Any:
    """One step of gradient descent."""
    return params - learning_rate * gradient


def adam_update(
    params: Any, moment: Any, count: Any, gradient: Any, learning_rate: float, sqrt: Any
) -> tuple[Any, Any]:
    """One step of Adam (Kingma and Ba 2015, algorithm 1) without momentum: beta1 = 0.

    The paper switches momentum off because it would carry one mini-batch into later steps.
    EPSILON is epsilon-hat (the end of their section 2), added before the bias correction, as in
    TensorFlow and Keras.

    params, moment, gradient: [P] float32; `moment` is the running mean of squared gradients.
    count: float32 scalar, the number of this step, from 1.
    sqrt: the square root of the array library at hand.
    Returns the new params and moment.
    """
    moment = BETA_2 * moment + (1 - BETA_2) * gradient * gradient
    rate = learning_rate * sqrt(1 - BETA_2**count)
    return params - rate * gradient / (sqrt(moment) + EPSILON), moment
