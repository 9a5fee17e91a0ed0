"""One web page, in one file, on which a reader draws characters or drags points, and a run learns.

    python -m benchmark.page outputs/runs/glyphs-5way-reptile-2000it-seed0-1a2b3c4d
    python -m benchmark.page omniglot_5way_2000/seed0 --output draw.html

The page adapts the run's initialisation in the browser, with nothing but the file itself.
"""

import argparse
import logging
import sys
from pathlib import Path

from benchmark.command.settings import settings
from benchmark.running.named import record_of
from benchmark.running.startup import start_tensorflow
from results.schema import ARRAYS, PAGE
from tasks.checks import ConfigError

DESCRIPTION, EXAMPLES = __doc__.split("\n", 1)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmark.page",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="the directory of a completed run, or the name of one published with the suite",
    )
    parser.add_argument(
        "--output", metavar="FILE", type=new_file, help=f"the page to write; without it RUN/{PAGE}"
    )
    return parser.parse_args()


def new_file(text: str) -> Path:
    """The name of a file, for argparse."""
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    return Path(text)


def main() -> int:
    """Make the page and say where it lies. Returns the exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    asked = arguments()
    try:
        record_of("run", asked.run, [ARRAYS])  # a mistyped name need not wait for TensorFlow
        start_tensorflow(settings().runtime)
        from benchmark.page.page import write_page

        path = write_page(asked.run, asked.output)
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser")
    return 0


if __name__ == "__main__":
    sys.exit(main())
