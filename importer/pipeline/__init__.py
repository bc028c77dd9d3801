"""The program that joins the stages: plan, confirm, deliver, report; and its check without sending.

``program`` is the flow to read first; ``prepare`` is the way from files to prepared chunks, ``connect`` and ``send``
the way to the API, ``find`` finds the run that a command is about, and ``options`` holds what the user asked for.
"""

import sys


def spare_pandas() -> None:
    """Let pyarrow make its first array where it finds no pandas; it would import it, to see whether it got a DataFrame.

    That would be a third of the time of a small check. pyarrow looks again when it is to make a DataFrame. A null in
    `sys.modules` does not do: pyarrow, which is compiled, takes it for the module.
    """
    if "pandas" not in sys.modules:
        import pyarrow as pa

        path, sys.path = sys.path, []
        pa.array([])
        sys.path = path
