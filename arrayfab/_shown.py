"""What has a page in a notebook."""

from __future__ import annotations

from arrayfab._builders import Builders

#: The page is written by a module that stands on all that is shown, which enters it here.
_BUILDERS = Builders()
builds = _BUILDERS.enter


class Shown:
    """What notebooks show as a page: formulas, numbers, and a picture where that is cheap."""

    def _repr_html_(self) -> str:
        return _BUILDERS["page"](self)
