"""The generator's words against published vectors, NumPy's generator and plain Python."""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import philox_reference as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrayfab.frozen import Bernoulli, Frozen, Gaussian, Rademacher, Uniform, cuda, philox

# From the distribution of Random123: counter, key, words.
PUBLISHED = [
    "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 "
    "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b",
    "ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff "
    "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 452821e638d01377 be5466cf34e90c6c "
    "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
]
keys = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
firsts = st.one_of(st.integers(0, 100), st.integers(2**40, 2**62))


@pytest.mark.parametrize("line", PUBLISHED, ids=["zeros", "ones", "pi"])
def test_the_reference_yields_the_published_words(line):
    numbers = [int(word, 16) for word in line.split()]
    assert reference.block(numbers[:4], numbers[4:6]) == numbers[6:]


@pytest.mark.parametrize("line", PUBLISHED, ids=["zeros", "ones", "pi"])
def test_numpys_generator_yields_the_published_words(line):
    numbers = [int(word, 16) for word in line.split()]
    counter = sum(word << 64 * i for i, word in enumerate(numbers[:4]))
    generator = np.random.Philox(key=np.asarray(numbers[4:6], np.uint64), counter=(counter - 1) % 2**256)
    assert [int(word) for word in generator.random_raw(4)] == numbers[6:]


def test_both_ways_yield_the_published_words_of_the_counter_zero():
    expected = [int(word, 16) for word in PUBLISHED[0].split()[6:]]
    assert philox.generator((0, 0), 0).random_raw(4).tolist() == expected
    assert philox.words_by_arrays((0, 0), 0, 1, np).tolist() == expected


@given(keys, firsts, st.integers(1, 5))
def test_words_are_those_of_the_reference(key, first, count):
    expected = [word for c in range(first, first + count) for word in reference.block([c, 0, 0, 0], key)]
    assert philox.generator(key, first).random_raw(4 * count).tolist() == expected


@given(keys, firsts, st.integers(1, 50))
def test_words_by_arrays_are_the_same_integers(key, first, count):
    by_arrays = philox.words_by_arrays(key, first, count, np)
    assert by_arrays.dtype == np.uint64
    np.testing.assert_array_equal(by_arrays, philox.generator(key, first).random_raw(4 * count))


LAWS = [Gaussian(9, 7), Uniform(9, 7), Rademacher(9, 7), Bernoulli(9, 7, 0.3)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@given(seed=st.integers(0, 2**64 - 1), run=st.tuples(st.integers(0, 63), st.integers(0, 63)).map(sorted))
def test_entries_by_arrays_are_equal_to_the_last_bit(law, seed, run):
    frozen = Frozen(seed, "A", law)
    actual = cuda.by_arrays(law, frozen.key, *run, np)
    assert actual.tobytes() == frozen.entries(*run).tobytes()


# What CUDA gives a kernel, for a compiler of plain C: the threads take their turns.
SHIMS = """
#include <math.h>
#define __device__ static
#define __global__
#define __umul64hi(a, b) ((unsigned long long)(((unsigned __int128)(a) * (b)) >> 64))
struct dim { unsigned x; };
static struct dim gridDim = {3}, blockDim = {5}, blockIdx, threadIdx;
%s
void run(REAL *out, word start, word stop, word key_0, word key_1, double p) {
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
            draw(out, start, stop, key_0, key_1, p);
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, to run the GPU's kernel on the processor")
    folder = tmp_path_factory.mktemp("kernel")
    folder.joinpath("kernel.c").write_text(SHIMS % cuda.SOURCE.read_text().replace('extern "C"', ""))

    def build(law, real):
        library = folder / f"{law.__name__}-{real}.so"
        if not library.exists():
            options = cuda.definitions(law, real)
            flags = ["-O2", "-shared", "-fPIC", "-ffp-contract=off", *options, "-o", str(library)]
            subprocess.run([compiler, *flags, str(folder / "kernel.c"), "-lm"], check=True)
        run = ctypes.CDLL(str(library)).run
        run.argtypes = [ctypes.c_void_p, *[ctypes.c_uint64] * 4, ctypes.c_double]
        return run

    return build


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_the_kernels_source_gives_the_same_bits_on_the_processor(compiled, law, dtype):
    law = type(law)(300, 41, *([0.3] if isinstance(law, Bernoulli) else []))
    run = compiled(type(law), "float" if dtype is np.float32 else "double")
    for seed, start, stop in ((0, 0, 12_300), (2**64 - 1, 5, 6), (7, 4321, 12_299)):
        frozen = Frozen(seed, "A", law)
        out = np.full(stop - start + 1, 9, dtype=dtype)  # one more, to see what is written beyond
        run(out.ctypes.data, start, stop, *frozen.key, getattr(law, "p", 0.0))
        assert out[:-1].tobytes() == frozen.entries(start, stop).astype(dtype).tobytes()
        assert out[-1] == 9


# NVRTC is what CuPy compiles with. It runs without a GPU.
@pytest.fixture(scope="module")
def nvrtc():
    nvidia = importlib.util.find_spec("nvidia")
    folders = [] if nvidia is None else map(Path, nvidia.submodule_search_locations)
    found = [library for folder in folders for library in folder.glob("*/lib/libnvrtc.so.*")]
    if not found:
        pytest.skip("needs NVIDIA's runtime compiler: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(found[0]))


def compiled_by(nvrtc, options):
    """What the compiler says of the kernel, and what it makes of it: PTX, which is text, and a binary."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()

    def text(kind):
        assert getattr(nvrtc, f"nvrtcGet{kind}Size")(program, ctypes.byref(size)) == 0
        buffer = ctypes.create_string_buffer(size.value)
        assert getattr(nvrtc, f"nvrtcGet{kind}")(program, buffer) == 0
        return buffer.raw

    names = [option.encode() for option in options]
    code = cuda.SOURCE.read_bytes()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, b"philox.cu", 0, None, None) == 0
    status = nvrtc.nvrtcCompileProgram(program, len(names), (ctypes.c_char_p * len(names))(*names))
    log = text("ProgramLog").rstrip(b"\0").decode()
    assert status == 0, log
    made = text("PTX"), text("CUBIN")
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log, *made


def test_this_is_the_only_kernel():
    assert list(Path(cuda.__file__).parents[1].rglob("*.cu")) == [cuda.SOURCE]


@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_nvidias_compiler_takes_the_kernel_and_fuses_nothing(nvrtc, law, real, capability):
    options = [cuda.UNFUSED, *cuda.definitions(type(law), real), f"--gpu-architecture=sm_{capability}"]
    log, ptx, binary = compiled_by(nvrtc, options)
    assert log.strip() == ""
    assert b".entry draw" in ptx
    assert b"fma." not in ptx
    assert binary.startswith(b"\x7fELF")


@pytest.mark.gpu
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cupy_draws_the_same_bits_on_its_device(law, dtype):
    cupy = pytest.importorskip("cupy")
    for seed, start, stop in ((0, 0, 63), (2**64 - 1, 5, 6), (7, 11, 62)):
        frozen = Frozen(seed, "A", law)
        expected = frozen.entries(start, stop).astype(dtype).tobytes()
        drawn = cuda.draw(law, frozen.key, start, stop, cupy.dtype(dtype), None)
        assert drawn.get().tobytes() == expected
        by_arrays = cuda.by_arrays(law, frozen.key, start, stop, cupy)
        assert by_arrays.astype(dtype).get().tobytes() == expected
