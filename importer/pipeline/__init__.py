"""The program that joins the stages: plan, confirm, deliver, report; and its check without sending.

``program`` is the flow to read first; ``prepare`` is the way from files to prepared chunks, ``connect`` and ``send``
the way to the API, ``find`` finds the run that a command is about, and ``options`` holds what the user asked for.
"""

import os
import sys

_THREADS = "OPENBLAS_NUM_THREADS"


def load_arrow() -> None:
    """Load numpy and pyarrow without what they need for other things; that would be half of a small check's time.

    numpy would start a thread a core for linear algebra. pyarrow imports pandas when it makes its first array, to see
    whether it got a DataFrame; if there is no pandas to be found then, it looks again when it is to make a DataFrame. A
    null in `sys.modules` does not do: pyarrow, which is compiled, takes it for the module.
    """
    if "pandas" in sys.modules:
        return
    threads = os.environ.get(_THREADS)
    os.environ[_THREADS] = threads or "1"
    import pyarrow as pa

    if threads is None:
        del os.environ[_THREADS]
    path, sys.path = sys.path, []
    pa.array([])
    sys.path = path
