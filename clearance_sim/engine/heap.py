"""The events to come, as a binary heap over two arrays: by time, and by order of planning where times are equal."""

from numba import njit


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def push(at, what, n, time, event):  # type: ignore[no-untyped-def]
    """Add an event to a heap of n."""
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        above = at[parent]
        if above < time or (above == time and what[parent] < event):
            break
        at[i] = above
        what[i] = what[parent]
        i = parent
    at[i] = time
    what[i] = event


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def drop_first(at, what, n):  # type: ignore[no-untyped-def]
    """Remove the earliest event of a heap of n."""
    n -= 1
    time = at[n]
    event = what[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        right = child + 1
        if right < n and (at[right] < at[child] or (at[right] == at[child] and what[right] < what[child])):
            child = right
        if at[child] > time or (at[child] == time and what[child] > event):
            break
        at[i] = at[child]
        what[i] = what[child]
        i = child
    at[i] = time
    what[i] = event
