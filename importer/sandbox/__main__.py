"""``python -m importer.sandbox``: the child process of ``process.start``. For people there is ``importer sandbox``."""

from importer.sandbox.server import serve_parent

if __name__ == "__main__":
    serve_parent()
