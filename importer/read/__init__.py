"""Reading: files into chunks of text columns, in one pass, at flat memory.

This package owns everything about files: where they lie, how they are packed and encoded, what format they have, and
which of their rows cannot be read. What the columns mean is the mapping's and ``shape``'s.

``expand`` turns the SOURCE arguments into inputs; ``open_source`` turns an input into a `Reader`, whose ``chunks`` are
what the rest of the product works on.
"""

from importer.read.arrow import text_of
from importer.read.inputs import expand
from importer.read.opening import open_source
from importer.read.reader import Limits, Reader
from importer.read.storage import Input

__all__ = ["Input", "Limits", "Reader", "expand", "open_source", "text_of"]
