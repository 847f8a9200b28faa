"""Philox4x64-10, a counter-based generator: a draw is a function of what it is for, not of when it is asked for.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). A block of four 64-bit words is keyed
by (seed, replication) and counted by (declaration, stream, visit, purpose), so that no two purposes share a draw, arms
of a study that share stream names share draws, and the order of events cannot matter.
"""

import hashlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from clearance_sim.engine.compilation import compiled_part, inlined

U64 = np.uint64
# Multipliers and increments of the authors' library Random123 (philox.h); the increments are the fractions of the
# golden ratio and of the root of three.
_M0, _M1 = U64(0xD2E7470EE14C6C93), U64(0xCA5A826395121157)
_W0, _W1 = U64(0x9E3779B97F4A7C15), U64(0xBB67AE8584CAA73B)

_BELOW_ONE = 1.0 - 2.0**-53

# Purposes: the last word of the counter.
VISIT, ARRIVAL, MEMBER, TRADER, GAPS = U64(0), U64(1), U64(2), U64(3), U64(4)


def _emit_high(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    wide = ir.IntType(128)
    product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
    return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))


def _upper_half(typing: Any, a: Any, b: Any) -> Any:
    """Return the upper 64 bits of a product, which the processor has and numba has no word for."""
    return types.uint64(types.uint64, types.uint64), _emit_high


_high: Any = intrinsic(_upper_half)


@inlined
def block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return four random words of a counter and a key."""
    for _ in range(10):
        h0, l0 = _high(_M0, c0), _M0 * c0
        h1, l1 = _high(_M1, c2), _M1 * c2
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
        k0 += _W0
        k1 += _W1
    return c0, c1, c2, c3


@inlined
def uniform(word):  # type: ignore[no-untyped-def]
    """Return a number strictly between 0 and 1, from the upper 53 bits."""
    # Half a step up, so that 0 does not come out, of which quantiles take the logarithm. Of the largest word the half
    # would be rounded up to a whole step, and give 1.
    return min((np.float64(word >> U64(11)) + 0.5) * (1.0 / 9007199254740992.0), _BELOW_ONE)


@compiled_part
def uniforms(seed, replication, declaration, stream, visit, purpose):  # type: ignore[no-untyped-def]
    """Return the four uniform numbers of one counter."""
    a, b, c, d = block(
        U64(declaration), U64(stream), U64(visit), U64(purpose), U64(seed), U64(replication)
    )  # fmt: skip
    return uniform(a), uniform(b), uniform(c), uniform(d)


def stream_key(name: str) -> int:
    """Return a stable 64-bit key of a stream's name."""
    # Not hash(), which Python seeds anew in every process.
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
