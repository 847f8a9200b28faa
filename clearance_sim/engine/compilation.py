"""How the engine is compiled, and kept on disk from one process to the next.

Only the entry points are kept. Numba notices a change of the file that holds a function, not of the files it calls, so
the entry points carry a digest of all of the engine's sources: a changed engine is compiled anew.

`_nrt=False` leaves out the counting of references to arrays, which would cost more than the simulation. The loop never
makes an array, so there is nothing to count.
"""

import hashlib
from pathlib import Path
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}
compiled_part: Any = njit(**_OPTIONS)
inlined: Any = njit(**_OPTIONS, forceinline=True)
# For engine.replication alone. Of a closure only plain numbers may vary: they become part of the cache's key.
kept_on_disk: Any = njit(**_OPTIONS, cache=True)


def sources() -> int:
    """Return a digest of the engine's sources."""
    # Seven bytes, since the number has to fit the 64 signed bits of numba's integers.
    digest = hashlib.blake2b(digest_size=7)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest(), "little")
