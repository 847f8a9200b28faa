"""An EVM chain inside this process, stored in one SQLite file, so that no node has to be installed or operated."""

import importlib.util
import os

# eth-hash would pick the slower pycryptodome where both are installed. It chooses at the first hash, so this has to
# stand before anything below is imported.
if importlib.util.find_spec("sha3") is not None:
    os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

from backend.adapters.chains.embedded.chain import ChainInUse, EmbeddedChain
from backend.adapters.chains.embedded.node import EmbeddedNode

__all__ = ["ChainInUse", "EmbeddedChain", "EmbeddedNode"]
