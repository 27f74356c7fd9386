"""`python -m minuted`, the same as `minuted`."""

import sys

from minuted.cli import main

if __name__ == "__main__":
    sys.exit(main())
