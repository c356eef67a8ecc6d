// The scheme "philox4x64-v1" of docs/frozen.md, one counter of four entries a thread.
// Compiled with LAW and REAL defined, and with contraction to fused multiply-adds switched off: every
// operation must round by itself, as it does in arrays.

typedef unsigned long long word;

__device__ void philox(word counter, word key_0, word key_1, word w[4]) {
    word c_1 = 0, c_2 = 0, c_3 = 0, c_0 = counter;
    for (int round = 0; round < 10; ++round) {
        word high_0 = __umul64hi(0xD2E7470EE14C6C93ULL, c_0), low_0 = 0xD2E7470EE14C6C93ULL * c_0;
        word high_1 = __umul64hi(0xCA5A826395121157ULL, c_2), low_1 = 0xCA5A826395121157ULL * c_2;
        c_0 = high_1 ^ c_1 ^ key_0;
        c_1 = low_1;
        c_2 = high_0 ^ c_3 ^ key_1;
        c_3 = low_0;
        key_0 += 0x9E3779B97F4A7C15ULL;
        key_1 += 0xBB67AE8584CAA73BULL;
    }
    w[0] = c_0, w[1] = c_1, w[2] = c_2, w[3] = c_3;
}

__device__ double uniform(word w) { return (double)(w >> 11) * (1.0 / 9007199254740992); }

__device__ double series(double x, const double *coefficients, int last) {
    double total = x * coefficients[last];
    for (int k = last - 1; k > 0; --k) total = (total + coefficients[k]) * x;
    return total + coefficients[0];
}

__device__ double signed_by(double z, word w) {
    union { double number; word bits; } both;
    both.number = z;
    both.bits ^= w << 63;
    return both.number;
}

__device__ void gaussian_pair(word first, word second, double z[2]) {
    const double ARTANH[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19};
    const double SINE[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800};
    union { double number; long long bits; } m;
    m.number = 1.0 - uniform(first);
    long long k = (m.bits - 0x3FE6A09E667F3BCDLL) >> 52;
    m.bits -= (long long)((word)k << 52);
    double s = (m.number - 1.0) / (m.number + 1.0);
    double log = series(s * s, ARTANH, 9) * s + (double)k * 0.6931471805599453;
    double radius = sqrt(-log);
    double half = (uniform(second) - 0.5) * 0.7853981633974483;
    double t = series(half * half, SINE, 6) * half;
    double square = t * t;
    double cosine = 1.0 - 2.0 * square, sine = t * (2.0 * sqrt(1.0 - square));
    z[0] = signed_by((cosine - sine) * radius, first);
    z[1] = signed_by((cosine + sine) * radius, second);
}

// Entries start … stop - 1, in row-major order, to out[0 …].
extern "C" __global__ void draw(REAL *out, word start, word stop, word key_0, word key_1, double p) {
    word stride = (word)gridDim.x * blockDim.x;
    for (word c = start / 4 + (word)blockIdx.x * blockDim.x + threadIdx.x; 4 * c < stop; c += stride) {
        word w[4];
        double z[4];
        philox(c, key_0, key_1, w);
#if LAW == GAUSSIAN
        gaussian_pair(w[0], w[1], z);
        gaussian_pair(w[2], w[3], z + 2);
#else
        for (int i = 0; i < 4; ++i)
#if LAW == UNIFORM
            z[i] = uniform(w[i]);
#elif LAW == BERNOULLI
            z[i] = uniform(w[i]) < p ? 1.0 : 0.0;
#elif LAW == RADEMACHER
            z[i] = w[i] & 1 ? -1.0 : 1.0;
#endif
#endif
        for (int i = 0; i < 4; ++i)
            if (4 * c + i >= start && 4 * c + i < stop) out[4 * c + i - start] = (REAL)z[i];
    }
}
