"""The generator's words, and the values made of them."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite import rng
from pycaffe_lite.errors import CaffeError

NAN, INF = math.nan, math.inf
SEEDS = st.integers(0, 2**32 - 1)


# -- words and state ---------------------------------------------------------------------------------------


def test_words_are_the_published_ones() -> None:
    """The C++ standard names the 10000th word of MT19937 seeded with 5489."""
    generator = rng.Generator(5489)
    assert generator.word() == 3499211612
    generator.words(9998)
    assert generator.word() == 4123659995


def test_word_and_words_are_one_stream() -> None:
    one, other = rng.Generator(3), rng.Generator(3)
    assert [one.word() for _ in range(700)] == other.words(700).tolist()


def test_the_lower_32_bits_of_a_seed_count() -> None:
    assert rng.Generator(2**32 + 7).word() == rng.Generator(7).word()


@pytest.mark.parametrize("seed", [None, -1])
def test_without_a_seed_entropy_is_taken_and_told(seed: int | None) -> None:
    generator = rng.Generator(1)
    told = {generator.seed(seed) for _ in range(4)}
    assert len(told) == 4
    last = generator.seed(seed)
    assert rng.Generator(last).word() == generator.word()


def test_the_module_draws_from_one_generator() -> None:
    assert rng.set_random_seed(11) == 11
    first = [rng.word(), *rng.words(2).tolist()]
    values = rng.uniform(3), rng.normal(3), rng.bernoulli(3, 0.5)
    generator = rng.Generator(11)
    assert first == generator.words(3).tolist()
    want = generator.uniform(3), generator.normal(3), generator.bernoulli(3, 0.5)
    assert all(np.array_equal(a, b) for a, b in zip(values, want, strict=True))


def test_other_generators_leave_the_runs_alone() -> None:
    rng.set_random_seed(5)
    rng.Generator(6).words(100)
    assert rng.word() == rng.Generator(5).word()


@given(SEEDS, st.integers(0, 1300))
def test_a_state_brings_back_what_followed(seed: int, skipped: int) -> None:
    generator = rng.Generator(seed)
    generator.words(skipped)
    words, position = generator.get_state()
    before = words.copy()
    want = generator.normal(50)
    assert np.array_equal(words, before)
    other = rng.Generator(0)
    other.set_state(words, position)
    assert np.array_equal(other.normal(50), want)


def test_a_state_is_plain_numbers() -> None:
    words, position = rng.Generator(1).get_state()
    assert (words.dtype, words.shape, type(position)) == (np.uint32, (624,), int)


@pytest.mark.parametrize(
    ("words", "position"),
    [
        (np.ones(623, np.uint32), 0),
        (np.ones((624, 1), np.uint32), 0),
        (np.array([], np.uint32), 0),
        (np.ones(624, np.float32), 0),
        (np.full(624, -1), 0),
        (np.full(624, 2**32), 0),
        (np.zeros(624, np.uint32), 0),
        (np.ones(624, np.uint32), -1),
        (np.ones(624, np.uint32), 625),
    ],
)
def test_what_is_no_state_is_refused(words: np.ndarray, position: int) -> None:
    generator = rng.Generator(4)
    with pytest.raises(CaffeError, match="624 32-bit words"):
        generator.set_state(words, position)
    assert generator.word() == rng.Generator(4).word()


# -- uniform -----------------------------------------------------------------------------------------------


def plain_uniform(generator: rng.Generator, n: int, a: float, b: float) -> list[np.float32]:
    """The definition, value by value."""
    low, end = np.float32(a), np.nextafter(np.float32(b), np.float32(INF))
    values: list[np.float32] = []
    while len(values) < n:
        fraction = np.float32(generator.word()) / np.float32(2.0**32)
        value = fraction * (end - low) + low
        if value < end:
            values.append(value)
    return values


@pytest.mark.parametrize(("a", "b"), [(0, 1), (-0.05, 0.05), (2, 5), (1e8, 1e8), (0, 0), (16777215, 16777217)])
def test_uniform_is_its_definition(a: float, b: float) -> None:
    """The last three bounds are so near each other that float32 rounds many values above b: drawn again."""
    one, other = rng.Generator(8), rng.Generator(8)
    got = one.uniform(500, a, b)
    assert got.dtype == np.float32
    assert got.tolist() == plain_uniform(other, 500, a, b)
    assert one.word() == other.word()


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 0), (NAN, 1), (0, NAN), (0, INF), (-INF, 0), (-3e38, 3e38), (0, 3.4028235e38), (0, 1e300)],
)
def test_uniform_refuses_bounds(a: float, b: float) -> None:
    with pytest.raises(CaffeError, match=r"need finite bounds, min not above max, got min .* and max"):
        rng.uniform(3, a, b)


# -- normal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "checksum", "next_word"),
    [(1, 708106230, 2966622576), (42, 3198143383, 1305141457), (1701, 1048560240, 2735357324)],
)
def test_normal_is_the_librarys(seed: int, checksum: int, next_word: int) -> None:
    """CRC-32 of 200,000 values of Boost 1.85's normal_distribution<float> on its mt19937; the next word."""
    generator = rng.Generator(seed)
    values = generator.normal(200_000)
    assert zlib.crc32(values.astype("<f4").tobytes()) == checksum
    assert generator.word() == next_word


def test_normal_scales_in_float32() -> None:
    values = rng.Generator(2).normal(1000)
    want = values * np.float32(0.01) + np.float32(1)
    assert np.array_equal(rng.Generator(2).normal(1000, 1, 0.01), want)


@pytest.mark.parametrize(("mean", "std"), [(0, 0), (0, -1), (0, NAN), (0, INF), (NAN, 1), (INF, 1)])
def test_normal_refuses_mean_and_std(mean: float, std: float) -> None:
    with pytest.raises(CaffeError, match=r"a finite mean and a std above 0, got mean .* and std"):
        rng.normal(3, mean, std)


# -- bernoulli ---------------------------------------------------------------------------------------------


@given(SEEDS, st.floats(0, 1, exclude_min=True))
def test_bernoulli_is_its_definition(seed: int, p: float) -> None:
    words = rng.Generator(seed).words(200)
    want = words.astype(np.float32) <= np.float32(p) * np.float32(2.0**32)
    if np.float32(p) != 0:
        assert np.array_equal(rng.Generator(seed).bernoulli(200, p), want)


@given(st.floats(0, 1, width=32, exclude_max=True))
def test_the_last_true_word_is_the_last(p: float) -> None:
    limit = np.float32(p) * np.float32(2.0**32)
    last = rng._last_true_word(p)
    assert np.float32(last) <= limit < np.float32(last + 1)


def test_bernoulli_of_nothing_takes_no_words() -> None:
    generator = rng.Generator(9)
    assert not generator.bernoulli(100, 0).any()
    assert generator.word() == rng.Generator(9).word()


def test_bernoulli_of_one_takes_words() -> None:
    generator = rng.Generator(9)
    assert generator.bernoulli(100, 1).all()
    assert generator.word() == rng.Generator(9).words(101)[-1]


@pytest.mark.parametrize("p", [-0.1, 1.1, NAN, INF])
def test_bernoulli_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(CaffeError, match="from 0 to 1"):
        rng.bernoulli(3, p)


# -- all draws ---------------------------------------------------------------------------------------------

DRAWS = {
    "uniform": lambda generator, n, **out: generator.uniform(n, -1, 1, **out),
    "redrawn uniform": lambda generator, n, **out: generator.uniform(n, 1e8, 1e8, **out),
    "normal": lambda generator, n, **out: generator.normal(n, **out),
    "bernoulli": lambda generator, n, **out: generator.bernoulli(n, 0.4, **out),
}
each_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@each_draw
@given(seed=SEEDS, pieces=st.lists(st.integers(0, 60), max_size=12))
def test_many_small_draws_equal_one_large(draw, seed: int, pieces: list[int]) -> None:
    one, other = rng.Generator(seed), rng.Generator(seed)
    small = [draw(one, n) for n in pieces]
    large = draw(other, sum(pieces))
    assert np.array_equal(np.concatenate([large[:0], *small]), large)
    assert one.word() == other.word()


@each_draw
def test_blocks_join(draw, monkeypatch: pytest.MonkeyPatch) -> None:
    n = 3 * rng._BLOCK + 5
    want = draw(rng.Generator(6), n)
    monkeypatch.setattr(rng, "_BLOCK", 1000)
    assert np.array_equal(draw(rng.Generator(6), n), want)


@each_draw
def test_draws_write_to_what_they_are_given(draw) -> None:
    out = np.full((4, 25), 7, np.float32)
    assert draw(rng.Generator(6), 100, out=out) is out
    assert np.array_equal(out.reshape(-1), draw(rng.Generator(6), 100))


@each_draw
@pytest.mark.parametrize("out", [np.zeros(99, np.float32), np.zeros((100, 2), np.float32)[:, 0]])
def test_draws_refuse_what_they_cannot_fill(draw, out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="C-contiguous array of 100"):
        draw(rng.Generator(6), 100, out=out)
