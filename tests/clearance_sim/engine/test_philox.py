import numpy as np
import pytest
from scipy import stats

from clearance_sim.engine.philox import stream_key, uniform
from clearance_sim.engine.replication import drawing

ONES, PI = (2**64 - 1,) * 4, (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89)
# Random123's kat_vectors for philox4x64-10: counter, key, answer.
KNOWN = [
    ((0,) * 4, (0, 0), (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B)),
    (ONES, ONES[:2], (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0)),
    (
        PI,
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
]


def uniforms(seed, replication, declaration, stream, visit, purpose):
    words = (np.uint64(word) for word in (seed, replication, declaration, stream, visit, purpose))
    return drawing()[1](*words)


def as_uniform(word):
    return ((word >> 11) + 0.5) / 2**53


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_generator_gives_the_published_answers(counter, key, answer):
    assert uniforms(*key, *counter) == tuple(map(as_uniform, answer))


@pytest.mark.parametrize("word", [0, 2**64 - 1, 2**64 - 2**11, 2**64 - 2**12])
def test_uniform_of_outermost_words_lies_between(word):
    """Of the largest word the half step is rounded up to a whole one."""
    assert 0 < uniform(np.uint64(word)) < 1


def test_it_is_the_generator_that_numpy_has():
    for key in (1, 2**100 + 17):
        words = np.random.Philox(counter=5, key=key).random_raw(4)
        ours = uniforms(key % 2**64, key >> 64, 6, 0, 0, 0)  # numpy counts on by one before it draws
        assert ours == tuple(as_uniform(int(word)) for word in words)


def test_neighbouring_counters_are_uniform_and_independent():
    desk, other = stream_key("desk"), stream_key("other")
    first = np.array([uniforms(1, 0, k, desk, 0, 0) for k in range(20_000)])
    assert stats.kstest(first.ravel(), "uniform").pvalue > 1e-3
    pairs = {
        "words": (first[:, 0], first[:, 1]),
        "declarations": (first[:-1, 0], first[1:, 0]),
        "visits": (first[:, 0], np.array([uniforms(1, 0, k, desk, 1, 0)[0] for k in range(20_000)])),
        "streams": (first[:, 0], np.array([uniforms(1, 0, k, other, 0, 0)[0] for k in range(20_000)])),
        "replications": (first[:, 0], np.array([uniforms(1, 1, k, desk, 0, 0)[0] for k in range(20_000)])),
        "seeds": (first[:, 0], np.array([uniforms(2, 0, k, desk, 0, 0)[0] for k in range(20_000)])),
    }
    for name, (a, b) in pairs.items():
        table = np.histogram2d(a, b, bins=10, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(table.ravel()).pvalue > 1e-3, name
    same = np.histogram2d(first[:, 0], first[:, 0], bins=10, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(same.ravel()).pvalue < 1e-9  # the test would notice
