"""The libraries that are compared, one family a module.

A peer has a name, the modules it needs, the reason why it leaves a workload out, and
``prepare(problem, device)``, which returns the calls for both passes. What a user would do once, such as
moving data, building layers and compiling, is done there or in the first call, outside the measured time.
"""

from __future__ import annotations

from peers.adapters import LoKr, LoRA, LycorisBypass, VeRA
from peers.base import Peer
from peers.native import Arrayfab, FastKron, Formed, Inline, OptEinsum
from peers.operators import Cola, LinearOperator, PyLops
from peers.pytorch import Compiled, Eager
from peers.rpn import Tinybig
from peers.xla import JaxByHand, JaxEinsum

OURS = Arrayfab()
PEERS: tuple[Peer, ...] = (
    OURS,
    Tinybig(),
    Eager(),
    Compiled(),
    JaxByHand(),
    JaxEinsum(),
    Inline(),
    Formed(),
    OptEinsum(),
    LinearOperator(),
    Cola(),
    PyLops(),
    LoRA(),
    VeRA(),
    LoKr(),
    LycorisBypass(),
    FastKron(),
)
BY_NAME = {peer.name: peer for peer in PEERS}
