"""What an adapted network says about single unseen tasks, for reading and for figures."""

from typing import Any

import numpy as np
import tensorflow as tf

from benchmark.evaluation import Evaluator, Protocol
from benchmark.inner_loop import Learner
from tasks.sampling import fold_in

SHOWN = ("support_x", "support_y", "query_x", "query_y")


def predict_episodes(evaluator: Evaluator, learner: Learner, count: int) -> list[dict[str, Any]]:
    """Adapt to the first `count` test episodes of the last shot number, in the first transduction.

    One dict an episode of arrays, n support and m query examples:
    support_x [n, ...], support_y [n, ...], query_x [m, ...], query_y [m, ...] as in Episode;
    steps [s] int, outputs [s, m, outputs] float32: class probabilities, or regression values.
    """
    settings = evaluator.settings
    protocol = Protocol(settings.splits[0], settings.shots[-1])
    key = evaluator.key(protocol)

    @tf.function(autograph=False)
    def run(index: tf.Tensor) -> tuple[Any, tf.Tensor]:
        episode, outputs = evaluator.outputs(learner, protocol, fold_in(key, index))
        last = tf.stack([row[0] for row in outputs])
        return episode, last if evaluator.task.metric == "mse" else tf.nn.softmax(last)

    predicted = []
    for index in range(count):
        episode, outputs = run(tf.constant(index, tf.int64))
        arrays = {name: value.numpy() for name, value in zip(SHOWN, episode, strict=False)}
        predicted.append({**arrays, "steps": np.array(evaluator.steps), "outputs": outputs.numpy()})
    return predicted


def as_text(episodes: list[dict[str, Any]]) -> str:
    """Class probabilities, predicted and true label of each query, after the last step."""
    lines = []
    for number, episode in enumerate(episodes):
        steps, outputs = episode["steps"][-1], episode["outputs"][-1]
        ways = outputs.shape[-1]
        lines.append(f"Unseen task {number} after {steps} steps:")
        if episode["query_y"].ndim > 1:
            error = np.mean(np.square(outputs - episode["query_y"]))
            lines.append(f"  mean squared error {error:.4f} over {len(outputs)} query points")
            continue
        heads = [f"p({way})" for way in range(ways)]
        lines.append("  query  " + "  ".join(f"{head:>5}" for head in heads) + "  predicted  true")
        for query, (p, label) in enumerate(zip(outputs, episode["query_y"], strict=True)):
            values = "  ".join(f"{value:5.2f}" for value in p)
            best = int(np.argmax(p))
            mark = "" if best == label else "  wrong"
            lines.append(f"  {query:5d}  {values}  {best:9d}  {label:4d}{mark}")
    return "\n".join(lines)


def for_record(episodes: list[dict[str, Any]], scores: str) -> list[dict[str, Any]]:
    """The last step's outputs as plain numbers: {scores, episode, steps, query: [{true, outputs}]}.

    scores: the key of these episodes' scores, which says what they are of
    """
    return [
        {
            "scores": scores,
            "episode": number,
            "steps": int(episode["steps"][-1]),
            "query": [
                {"true": np.asarray(y).tolist(), "outputs": np.round(p, 6).tolist()}
                for p, y in zip(episode["outputs"][-1], episode["query_y"], strict=True)
            ],
        }
        for number, episode in enumerate(episodes)
    ]
