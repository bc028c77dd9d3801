"""``python -m importer`` is the command line."""

import sys

from importer.cli import main

sys.exit(main())
