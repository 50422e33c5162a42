"""`python -m voiced`."""

import sys

from voiced.cli import main

if __name__ == "__main__":
    sys.exit(main())
