"""``report.html``: a run in one page for people, from the same batches as every other output.

This package owns what the page says and how it looks. ``figures`` adds up what the summary does not have, in memory
that does not grow with the rows; ``sections`` puts it into words, tables and charts; ``markup`` and ``charts`` make
HTML and SVG; ``document`` joins everything into one file that loads nothing from anywhere.
"""

from importer.report.page.document import render_page
from importer.report.page.figures import Figures

__all__ = ["Figures", "render_page"]
