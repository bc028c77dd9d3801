"""Reading: files into chunks of text columns, in one pass, at flat memory.

``expand`` turns the SOURCE arguments into inputs; ``open_source`` turns an input into a `Reader`, whose ``chunks`` are
what the rest of the product works on.
"""

from importer.read.arrow import text_of
from importer.read.encoding import EncodingError
from importer.read.files import Input, Limits, is_data_name
from importer.read.inputs import expand
from importer.read.opening import open_source
from importer.read.reader import Part, Reader, chunk_of

__all__ = [
    "EncodingError",
    "Input",
    "Limits",
    "Part",
    "Reader",
    "chunk_of",
    "expand",
    "is_data_name",
    "open_source",
    "text_of",
]
