"""tinybig's functions under its own names: the door for code that was written against it.

Classes, constructor keywords, methods and attributes are those of tinybig 0.2.1; ``w`` comes as tinybig's
``(1, l)``. Each class hands its work to arrayfab, so that products never form ``W``, and has a ``vjp``.

Where it differs:

- Any array namespace will do, PyTorch among them. Outputs live where the inputs live: ``device=`` is
  accepted and moves nothing. Where no array is given, ``xp=``, ``dtype=`` and ``device=`` choose.
- ``hm``, ``lphm``, ``dual_lphm`` and ``duplicated_padding`` compute the documented Kronecker product
  ``A ⊗ B``. tinybig's code reshapes an outer product instead, which is another matrix unless ``n/p = 1``
  or ``q = 1``. The first three take a keyword more, ``arrangement="reshaped"``, for vectors trained there.
- ``duplicated_diagonal_padding`` is ``I_p ⊗ w``, for any ``p`` that divides ``n`` and ``D``; it is dense.
- Frozen matrices follow from ``seed``. They are attributes, None until drawn; a matrix that is assigned
  is used in place of the seed's, and must fit. Draws are shared: assign a new one, do not write into one.
- Expansions and compressions give rows of ``x``'s dtype and leave ``x`` alone. Functions before and after
  are callables, or some of PyTorch's by name. Where tinybig's code departs from its formula, the page on
  tinybig says what is computed.
- Heads, layers and models keep their learned numbers in attributes, and as one vector in ``numbers``; any
  other vector is handed in as ``w=``. ``composition()`` is the layer of arrayfab that a call runs.
- Graphs, chains, grids and patches are in ``arrayfab.tinybig.koala``; tinybig's own are taken too.
- ``p`` and ``q`` left out of ``hm``, ``lphm`` and ``dual_lphm`` stay None and are found anew per shape.

Examples
--------
>>> import numpy as np
>>> from arrayfab.tinybig import dual_lphm_parameterized_interdependence
>>> xi = dual_lphm_parameterized_interdependence(b=3, m=16, m_prime=32, r=2, p=4)
>>> x, w = np.ones((3, 16)), np.ones((1, xi.calculate_l()))
>>> y, pullback = xi.vjp(x, w)
>>> grad_x, grad_w = pullback(np.ones_like(y))
>>> xi(x, w).shape, grad_x.shape, grad_w.shape
((3, 32), (3, 16), (1, 40))
"""

# ruff: noqa: F403
from __future__ import annotations

from arrayfab.tinybig._configuration import ConfigurationError as ConfigurationError
from arrayfab.tinybig._configuration import ParameterError as ParameterError
from arrayfab.tinybig._configuration import from_config as from_config
from arrayfab.tinybig.compression import *
from arrayfab.tinybig.expansion import *
from arrayfab.tinybig.fusion import *
from arrayfab.tinybig.head import *
from arrayfab.tinybig.interdependence import *
from arrayfab.tinybig.layer import *
from arrayfab.tinybig.model import *
from arrayfab.tinybig.reconciliation import *
from arrayfab.tinybig.remainder import *
