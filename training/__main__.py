"""`python -m training fit --config training/configs/<recipe>.yaml --data.files FILE.npz`

Subcommands are Lightning's (fit, validate) and `finish`, which turns a Lightning checkpoint into a model file.
"""

from __future__ import annotations

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main())
