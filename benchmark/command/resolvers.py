"""What a yaml under conf/ may compute, as ${name:arguments} (OmegaConf's resolvers)."""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.command.identity import run_name, sweep_name
from tasks.checks import ConfigError, require

MOST_STEPS = 1000  # whose gradients a name may combine
BUDGETS = ("smoke", "short", "paper")


def by_budget(smoke: Any, short: Any, paper: Any, *, _root_: DictConfig) -> Any:
    """The value for the experiment's `budget`: seconds, minutes, or the paper's own."""
    budget = OmegaConf.select(_root_, "budget")
    require(budget in BUDGETS, "budget", budget, f"one of {', '.join(BUDGETS)}")
    return dict(zip(BUDGETS, (smoke, short, paper), strict=True))[budget]


def by_algorithm(values: DictConfig, *, _root_: DictConfig) -> Any:
    """The value for the chosen algorithm: ${by_algorithm:{reptile: 1000, maml: 500}}."""
    name = OmegaConf.select(_root_, "algorithm.name")
    require(name in values, "algorithm", name, f"one of {', '.join(map(str, values))}")
    return values[name]


def step_weights(formula: str) -> list[float]:
    """Weights of the inner gradients in the outer update: [0, 1] of "g2", [1, 1] of "g1+g2".

    "mean(...)" divides by the number of gradients: [0.5, 0.5] of "mean(g1+g2)" (paper, figure 3).
    """
    match = re.fullmatch(r"(mean\()?(g[1-9]\d*(?:\+g[1-9]\d*)*)(\))?", str(formula))
    if match is None or bool(match[1]) != bool(match[3]):
        raise ConfigError(f"algorithm.name={formula}: must be like g2, g1+g2 or mean(g1+g2)")
    steps = [int(term[1:]) for term in match[2].split("+")]
    if max(steps) > MOST_STEPS:
        raise ConfigError(f"algorithm.name={formula}: must be of at most {MOST_STEPS} inner steps")
    weight = 1 / len(steps) if match[1] else 1.0
    return [weight if step in steps else 0.0 for step in range(1, max(steps) + 1)]


def multiply(a: int, b: int) -> int:
    """The product."""
    return a * b


def register() -> None:
    """Make the resolvers known to OmegaConf."""
    for resolver in (run_name, sweep_name, by_budget, by_algorithm, step_weights, multiply):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    OmegaConf.register_new_resolver("length", len, replace=True)
