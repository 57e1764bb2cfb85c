"""The desk's own world is the one that queries are asked in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "desk"))
