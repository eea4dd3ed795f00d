"""`python -m training fit --config training/configs/<recipe>.yaml --data.files FILE.npz`

docs/training.md goes through it step by step. Other subcommands are Lightning's own.
"""

from __future__ import annotations

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main())
