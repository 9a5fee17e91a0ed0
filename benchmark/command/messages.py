"""What is answered to a mistake in what is typed: one line."""

import difflib
import itertools
import re
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from yaml import YAMLError

from benchmark.command import arguments
from benchmark.command.compose import compose
from tasks.checks import one_line

CHOSEN = re.compile(rf"(\+experiment|{'|'.join(arguments.GROUPS)})=[\w,]+$")


def explained(error: Exception, root: str, words: Sequence[str]) -> str:
    """One line that names the key, the value and what is allowed; `words` are what was typed."""
    text = one_line(error)
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        rule = (
            "KEY=VALUE as Hydra reads it; a text with other signs than usual has quotes of its own"
        )
        return f"{error.override}: must be {rule}, \"{key}='{value}'\""
    ours = re.match(r"ConfigError raised while resolving interpolation: (.*?)( full_key: |$)", text)
    if ours:
        return ours[1]
    if merged := re.match(r"Error merging override (.*)", text):
        return f"{merged[1]}: must be {kind_before(error.__cause__)}"
    if several := re.match(r"Ambiguous value for argument '(([^=]*)=(.*?))' 1\. To use", text):
        typed, key, values = several.groups()
        return f"{typed}: must be one value, a list ({key}=[{values}]) or swept over (--multirun)"
    unknown = re.match(r"Could not override '([\w./]+)'", text)
    if unknown:
        return about_unknown(unknown[1], root, words)
    missing = r"Could not find '([\w/]+)/([^/']*)' Available options in '.*?': (.*)"
    if no_choice := re.search(missing, text):
        group, choice, known = no_choice.groups()
        known = known.split(" Config search path:")[0]
        return f"{group}={choice}: must be one of {', '.join(known.split())}"
    if isinstance(error, UnicodeDecodeError):
        return f"{holder(error.object, words)}: must be text in UTF-8 ({text})"
    if isinstance(error, YAMLError):
        return f"a configuration file must be YAML: {text}"
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        for key in ("hydra.run.dir", "hydra.sweep.dir"):
            if value := typed_value(key, words):
                return f"{key}{value}: must be a directory that can be written ({text})"
    if composing := re.match(
        r"In '(.*?)': \w+ raised while composing config: (.*?)( full_|$)", text
    ):
        file, reason, _ = composing.groups()
        return f"{file}.yaml: must have values of the kinds that they replace ({reason})"
    if unresolved := re.match(r"(.*) full_key: (?!object_type)([\w.]+)", text):
        reason, key = unresolved.groups()
        return f"{key}{typed_value(key, words)}: must be a value that can be resolved ({reason})"
    return text


def holder(content: bytes, words: Sequence[str]) -> str:
    """The configuration file with these bytes, which are all that a decoder's error knows of it."""
    given = get_args_parser().parse_intermixed_args(list(words))
    for folder in arguments.searched(given.config_dir):
        for file in folder.rglob("*.yaml"):
            if content in file.read_bytes():
                return str(file)
    return "a configuration file"


def kind_before(error: BaseException | None) -> str:
    """What must stand where Hydra cannot put a value, after OmegaConf's error."""
    if getattr(error, "object_type", None) is list:
        return "a list"
    reason = one_line(error).partition(" full_key: ")[0] if error else ""
    return f"of the kind that it replaces ({reason})"


def with_hint(text: str) -> str:
    """A line about a value that must be one of several, with the one that is most like it."""
    rule = r"([\w./+]+)=(.*?): must be (a known key: |one of (?:the task's splits: )?)(.*)$"
    if (match := re.match(rule, text)) is None:
        return text
    key, value, kind, listed = match.groups()
    wrong = key.rpartition(".")[2] if kind == "a known key: " else value
    close = difflib.get_close_matches(wrong, re.split(r", | \(", listed), n=1)
    return f"{text}; did you mean {close[0]}?" if close else text


def typed_value(key: str, words: Sequence[str]) -> str:
    """What follows a key in what was typed, with its equals sign; empty where it is not given."""
    given = [word.lstrip("+~") for word in words if "=" in word]
    values = [word.split("=", 1)[1] for word in given if word.split("=", 1)[0] == key]
    return f"={values[-1]}" if values else ""


def about_unknown(key: str, root: str, words: Sequence[str]) -> str:
    """What a key that is not there could be instead, in the choices that were typed.

    Where a sweep goes over several choices, in the first that does not have it.
    """
    sweeps = [arguments.split_sweep(word) for word in words if CHOSEN.match(word)]
    for chosen in itertools.product(*sweeps):
        whole = compose(*chosen, root=root, with_hydra=key.startswith("hydra"))
        known = siblings(whole, key)
        if key.rpartition(".")[2] not in known:
            break
    swept = [choice for choice, sweep in zip(chosen, sweeps, strict=True) if len(sweep) > 1]
    of = f" of {' '.join(swept)}" if swept else ""
    return f"{key}{typed_value(key, words)}: must be a known key{of}: {', '.join(known)}"


def siblings(node: DictConfig, key: str) -> list[str]:
    """The known keys beside `key`, or beside its group where that is unknown."""
    for part in key.split(".")[:-1]:
        if not isinstance(node.get(part), DictConfig):
            break
        node = node[part]
    return [str(k) for k in node if k != "_target_"]
