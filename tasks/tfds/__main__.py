"""`python -m tasks.tfds FUNCTION ARGUMENTS`: what `source.apart` starts."""

import json
import sys

from tasks.checks import ConfigError
from tasks.tfds import source

if __name__ == "__main__":
    try:
        getattr(source, sys.argv[1])(*json.loads(sys.argv[2]))
    except ConfigError as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
