"""What has a page in a notebook."""

from __future__ import annotations

import importlib


class Shown:
    """What notebooks show as a page: formulas, numbers, and a picture where that is cheap."""

    def _repr_html_(self) -> str:
        # What writes the page stands above all that it shows, and nobody else needs it.
        return importlib.import_module("arrayfab.notebook").page(self)
