"""`python -m benchmark.studies.theory`: section 5.1 of the paper, measured on its algorithms.

A task gives k mini-batches with losses L_1 .. L_k, gradients g_i and Hessians H_i at the
initialisation phi. AvgGrad is E[g_i], AvgGradInner is E[H_i g_j] = 1/2 d/dphi E[g_i . g_j] with
i != j. To first order in the inner step alpha the paper derives that the outer gradients are

    MAML      AvgGrad - 2(k - 1) alpha AvgGradInner
    FOMAML    AvgGrad - (k - 1) alpha AvgGradInner
    Reptile k AvgGrad - k(k - 1)/2 alpha AvgGradInner

Here MAML takes k - 1 inner steps and its query set is the k-th mini-batch. On a small smooth
network and sine waves this program computes all five vectors, fits the two coefficients by least
squares and prints them beside the paper's.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from benchmark.command.compose import CONF
from benchmark.command.program import run_program
from benchmark.command.settings import settings
from benchmark.config import Runtime, as_dict, strict
from benchmark.running.environment import environment
from benchmark.running.record import write_file
from benchmark.running.startup import start_tensorflow
from results.statistics import t_half_width, t_quantile
from tasks.checks import require
from tasks.episode import Episode

if TYPE_CHECKING:
    import tensorflow as tf

    from benchmark.inner_loop import InnerLoop, Learner
    from benchmark.network import Network

log = logging.getLogger(__name__)
ALGORITHMS = ("maml", "fomaml", "reptile")
BATCH = 10  # points of a mini-batch
HIDDEN = 8
FEWEST_GROUPS = 5  # below, `half_width` is less exact than it says


@dataclass(frozen=True, kw_only=True)
class Theory:
    """How much is measured; see conf/theory.yaml."""

    seed: int
    resume: bool
    tasks: int
    groups: int
    mini_batches: int
    alpha: float

    def check(self) -> None:
        require(self.seed >= 0, "seed", self.seed, "at least 0")
        require(self.groups >= FEWEST_GROUPS, "groups", self.groups, "at least 5")
        whole = self.tasks >= 1 and self.tasks % self.groups == 0
        rule = f"a multiple of groups={self.groups}, above 0"
        require(whole, "tasks", self.tasks, rule)
        require(self.mini_batches >= 1, "mini_batches", self.mini_batches, "at least 1")
        require(0 < self.alpha < 1, "alpha", self.alpha, "between 0 and 1")


@contextlib.contextmanager
def keras_in_float64() -> Iterator[None]:
    """Keras builds models in float64 inside, as before outside."""
    from keras import config

    width, policy = config.floatx(), config.dtype_policy()
    config.set_floatx("float64")
    config.set_dtype_policy("float64")
    try:
        yield
    finally:
        config.set_floatx(width)
        config.set_dtype_policy(policy)


def smooth_network() -> "Network":
    """The function of a 1-8-1 tanh network in float64; its own initial weights are not used."""
    from benchmark.models import MLP
    from benchmark.network import Network

    with keras_in_float64():
        model = MLP(name="tiny", hidden=[HIDDEN], activation="tanh", invert=False)
        return Network(model.build((1,), 1))


@cache
def rivals(alpha: float) -> dict[str, Any]:
    """MAML, first-order MAML and Reptile of `conf/algorithm`, with SGD steps on the mean loss."""
    same: dict[str, Any] = dict(
        inner_optimizer="sgd",
        inner_learning_rate=alpha,
        inner_batch=BATCH,
        loss_reduction="mean",
    )
    return {
        name: replace(settings("task=sinusoid", f"algorithm={name}").algorithm, **same)
        for name in ALGORITHMS
    }


def averages(
    inner: "InnerLoop", params: "tf.Tensor", x: "tf.Tensor", y: "tf.Tensor"
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """AvgGrad [P] and AvgGradInner [P] of one task (paper, section 5.1).

    x, y: [k, batch, 1], the k mini-batches. With k = 1 AvgGradInner is zero.
    """
    import tensorflow as tf

    k = x.shape[0]
    with tf.GradientTape() as tape:
        tape.watch(params)
        gradients = tf.stack([inner.gradient(params, x[i], y[i]) for i in range(k)])
        # |sum of g_i|^2 less the squares is the sum of g_i . g_j over the k (k - 1) pairs i != j
        total = tf.reduce_sum(tf.square(tf.reduce_sum(gradients, 0)))
        products = (total - tf.reduce_sum(tf.square(gradients))) / max(k * (k - 1), 1)
    return tf.reduce_mean(gradients, 0), tape.gradient(products, params) / 2


def outer_gradients(
    algorithms: dict[str, Any],
    inner: "InnerLoop",
    learner: "Learner",
    x: "tf.Tensor",
    y: "tf.Tensor",
) -> "tf.Tensor":
    """[3, P]: the outer gradient g of each of ALGORITHMS on one task (paper, section 5.1).

    x, y: [k, batch, 1], the k mini-batches, met in each of their k cyclic orders; g is the mean,
    whose expectation is that of one order. Each batch is then last as often as the others, without
    which the spread of single g_i would hide the term in alpha.
    """
    import tensorflow as tf

    k, batch, _ = x.shape
    points, targets = tf.reshape(x, [k * batch, 1]), tf.reshape(y, [k * batch, 1])
    rows = np.arange(k * batch, dtype=np.int32).reshape(k, batch)
    orders = np.stack([np.roll(rows, shift, axis=0) for shift in range(k)])  # [k, k, batch]
    maml = replace(algorithms["maml"], inner_steps=k - 1)
    fomaml, reptile = (replace(algorithms[n], inner_steps=k) for n in ("fomaml", "reptile"))

    def in_order(order: "tf.Tensor") -> "tf.Tensor":
        query = tf.gather(points, order[-1]), tf.gather(targets, order[-1])
        episode = Episode(points, targets, *query)
        by_maml, _ = maml.propose(inner, learner, episode, order[:-1])
        by_fomaml, _ = fomaml.propose(inner, learner, episode, order)
        by_reptile, _ = reptile.propose(inner, learner, episode, order)
        return -tf.stack(
            [by_maml, by_fomaml / inner.learning_rate, by_reptile / inner.learning_rate]
        )

    return tf.reduce_mean(tf.map_fn(in_order, orders, fn_output_signature=x.dtype), 0)


def group_means(k: int, tasks: int, groups: int, seed: int, alpha: float) -> np.ndarray:
    """[groups, 5, P]: AvgGrad, AvgGradInner and the outer gradients of ALGORITHMS.

    Each is the mean over the group's own tasks / groups sine waves. AvgGrad is taken of the same
    tasks as the outer gradients: they differ from task to task by far more than the term in alpha,
    which would drown. AvgGradInner is taken of as many other tasks, so that its coefficient
    compares two independent samples and its interval holds the sampling error of both.
    """
    import tensorflow as tf

    from benchmark.inner_loop import Learner
    from tasks.sampling import fold_in
    from tasks.seeding import numpy_generator, stateless_key

    network, algorithms = smooth_network(), rivals(alpha)
    task = settings("task=sinusoid").task
    waves, inner = task.load(), algorithms["reptile"].inner_loop(network, task.metric)
    # Not where Keras starts, with biases of zero: any phi must do.
    phi = tf.constant(numpy_generator(seed, "phi").normal(0, 0.5, len(network.initial)))
    learner = Learner(phi, tf.zeros_like(phi), tf.constant(0, tf.int64))
    key = stateless_key(seed, "theory")

    def batches(number: "tf.Tensor") -> list["tf.Tensor"]:
        episode = waves.sample("train", fold_in(key, number), 1, k * BATCH, 0)
        support = episode.support_x, episode.support_y
        return [tf.reshape(tf.cast(part, phi.dtype), [k, BATCH, 1]) for part in support]

    def vectors(number: "tf.Tensor") -> "tf.Tensor":
        mine, other = batches(2 * number), batches(2 * number + 1)
        grad, _ = averages(inner, phi, *mine)
        _, grad_inner = averages(inner, phi, *other)
        found = outer_gradients(algorithms, inner, learner, *mine)
        return tf.concat([[grad, grad_inner], found], 0)

    @tf.function(jit_compile=True)
    def means(numbers: "tf.Tensor") -> "tf.Tensor":
        return tf.reduce_mean(tf.map_fn(vectors, numbers, fn_output_signature=phi.dtype), 0)

    return np.stack([means(part) for part in tf.split(tf.range(tasks, dtype=tf.int64), groups)])


def coefficients(means: np.ndarray, k: int, alpha: float) -> np.ndarray:
    """[groups, 2, 3]: how much AvgGrad and -alpha AvgGradInner the outer gradients contain.

    means: of `group_means`; least squares over the P coordinates, group by group. With k = 1 no
    two mini-batches exist: AvgGrad is fitted alone and the second coefficient is NaN.
    """
    fitted = np.full((len(means), 2, len(ALGORITHMS)), np.nan)
    known = min(k, 2)
    for group, (grad, grad_inner, *found) in enumerate(means):
        design = np.stack([grad, -alpha * grad_inner][:known], axis=1)
        fitted[group, :known] = np.linalg.lstsq(design, np.stack(found, axis=1), rcond=None)[0]
    return fitted


def published(k: int) -> np.ndarray:
    """[2, 3]: the paper's coefficients of AvgGrad and -alpha AvgGradInner (section 5.1)."""
    first, second = [1.0, 1.0, k], [2.0 * (k - 1), k - 1, k * (k - 1) / 2]
    return np.array([first, second if k > 1 else [np.nan] * 3])


def compare(theory: Theory) -> pd.DataFrame:
    """A row for each algorithm and k: coefficients as fitted, their intervals, and the paper's.

    agrees: the paper's numbers differ by rounding (as with k = 1, where the result is exact), or
    lie inside intervals so much wider that all of the table do in 95 of 100 repetitions
    (Bonferroni).
    """
    rows = []
    numbers = len(ALGORITHMS) * (2 * theory.mini_batches - 1)
    all_at_once, alone = (t_quantile(theory.groups - 1, 1 - 0.05 / n) for n in (numbers, 1))
    for k in range(1, theory.mini_batches + 1):
        means = group_means(k, theory.tasks, theory.groups, theory.seed, theory.alpha)
        fitted = coefficients(means, k, theory.alpha)
        mean, paper = fitted.mean(0), published(k)
        width = t_half_width(fitted.std(0, ddof=1), len(fitted))
        # Rounding: displacement / alpha. A NaN has nothing to be outside of.
        outside = np.abs(mean - paper) > width * all_at_once / alone + 1e-15 / theory.alpha
        for i, name in enumerate(ALGORITHMS):
            row: dict[str, Any] = {"algorithm": name, "k": k}
            for j, vector in enumerate(("AvgGrad", "AvgGradInner")):
                row |= {vector: mean[j, i], f"{vector} ±": width[j, i]}
                row |= {f"{vector} paper": paper[j, i]}
            rows.append(row | {"agrees": not outside[:, i].any()})
    return pd.DataFrame(rows)


def consequence(table: pd.DataFrame) -> list[str]:
    """For each k from 2 the algorithms by AvgGradInner's fitted coefficient over AvgGrad's."""
    ratio = table.assign(ratio=table["AvgGradInner"] / table["AvgGrad"]).dropna(subset="ratio")
    return [
        f"k = {k}: " + " > ".join(f"{row.algorithm} {row.ratio:.2f}" for row in rows.itertuples())
        for k, rows in ratio.sort_values("ratio", ascending=False).groupby("k")
    ]


def show(table: pd.DataFrame) -> None:
    """Print the table and what follows from it."""
    one = table.iloc[0]
    print(
        f"Outer gradients as a AvgGrad - b alpha AvgGradInner, alpha = {one['alpha']:g}: a and b "
        f"fitted, ± 95 % t interval\nover {one['groups']} groups of "
        f"{one['tasks'] // one['groups']} tasks (a true number is outside 1 time in 20), and the "
        "paper's (section 5.1); agrees allows for how many numbers there are.\n"
        "k = 1: AvgGradInner needs two mini-batches; AvgGrad is fitted alone."
    )
    digits = {name: "{:.6f}".format for name in ("AvgGrad", "AvgGrad ±")}
    digits |= {name: "{:.3f}".format for name in ("AvgGradInner", "AvgGradInner ±")}
    shown = table.loc[:, :"agrees"]
    print(shown.to_string(index=False, na_rep="-", formatters=digits, float_format="{:g}".format))
    print("AvgGradInner's share, b / a:", *consequence(table), sep="\n")


def already_there(file: Path, setting: dict[str, Any]) -> pd.DataFrame | None:
    """The table that an earlier run with the same setting has left in `file`."""
    try:
        table = pd.read_csv(file)
    except (FileNotFoundError, ValueError):  # none yet, or damaged
        return None
    same = all(key in table and (table[key] == value).all() for key, value in setting.items())
    return table if same else None


def run(cfg: DictConfig, directory: Path) -> None:
    """Measure, leave the table in `directory` as theory.csv, print it.

    A table of the same settings is not measured again, unless resume=false. Raises ConfigError,
    before any work.
    """
    own = {key: value for key, value in as_dict(cfg).items() if key not in ("runtime", "budget")}
    theory = strict("", Theory, DictConfig(own))
    runtime = strict("runtime", Runtime, cfg.runtime)
    theory.check()
    runtime.check()
    setting = {key: value for key, value in asdict(theory).items() if key != "resume"}
    file = directory / "theory.csv"
    table = already_there(file, setting) if theory.resume else None
    if table is None:
        start_tensorflow(runtime)
        table = compare(theory).assign(**setting, commit=environment()["commit"])
        write_file(file, table.to_csv(index=False, float_format="%.8g").encode())
    else:
        log.info("already completed: %s (resume=false runs it again)", directory)
    show(table)


@hydra.main(version_base="1.3", config_path=CONF, config_name="theory")
def program(cfg: DictConfig) -> None:
    """What Hydra runs."""
    run(cfg, Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """Run the command line."""
    run_program(program, "theory")


if __name__ == "__main__":
    main()
