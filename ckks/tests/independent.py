#!/usr/bin/env python3
"""Decrypts this crate's serialised ciphertexts with nothing but plain integers.

Written from the documents alone (the codec's table, the seeds' expansion order, the transform's root) and
sharing no code with the crate, so that an error in either shows. Reads `key value` lines from standard input
(n, primes, secret, object; bytes in hex), prints the scale's exponents, every coefficient of
c0 + c1 s (+ c2 s^2), and a few slots.
"""

import cmath
import sys


def chacha_words(rounds, key, stream):
    """The ChaCha key stream as 32-bit words: 64-bit block counter from 0, 64-bit stream number."""
    mask = 0xFFFFFFFF

    def rotate(x, k):
        return ((x << k) | (x >> (32 - k))) & mask

    key_words = [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
    counter = 0
    while True:
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key_words]
        start += [counter & mask, counter >> 32, stream & mask, stream >> 32]
        x = list(start)

        def quarter(a, b, c, d):
            for p, q, r, k in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) & mask
                x[r] = rotate(x[r] ^ x[p], k)

        for _ in range(rounds // 2):
            for i in range(4):
                quarter(i, i + 4, i + 8, i + 12)
            for i in range(4):
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        for a, b in zip(x, start):
            yield (a + b) & mask
        counter += 1


def stream_number(purpose, part, index):
    return (purpose << 48) + (part << 16) + index


def ternary(n, seed):
    """floor(3 w / 2^32) - 1 of one word each."""
    words = chacha_words(20, seed, stream_number(2, 0, 0))
    return [(3 * next(words) >> 32) - 1 for _ in range(n)]


def uniform(n, q, seed, index):
    """Words below the largest multiple of the prime up to 2^32, reduced."""
    words = chacha_words(8, seed, stream_number(1, 0, index))
    limit = (1 << 32) // q * q
    out = []
    while len(out) < n:
        word = next(words)
        if word < limit:
            out.append(word % q)
    return out


def root(n, q):
    """The primitive 2n-th root of the transform: -1, square-rooted log2(n) times by Tonelli and Shanks
    with the smallest non-residue."""
    odd, twos = q - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    z = next(z for z in range(2, q) if pow(z, (q - 1) // 2, q) == q - 1)

    def square_root(a):
        m, c, t, r = twos, pow(z, odd, q), pow(a, odd, q), pow(a, (odd + 1) // 2, q)
        while t != 1:
            i, power = 0, t
            while power != 1:
                power, i = power * power % q, i + 1
            b = pow(c, 1 << (m - i - 1), q)
            m, c = i, b * b % q
            t, r = t * c % q, r * b % q
        return r

    out = q - 1
    for _ in range(n.bit_length() - 1):
        out = square_root(out)
    return out


def bit_reverse(i, bits):
    return int(format(i, f"0{bits}b")[::-1], 2)


def transform(values, w, q):
    """sum_i values[i] w^(i k), recursively."""
    if len(values) == 1:
        return values
    even, odd = transform(values[::2], w * w % q, q), transform(values[1::2], w * w % q, q)
    out, power, half = [0] * len(values), 1, len(values) // 2
    for k in range(half):
        t = power * odd[k] % q
        out[k], out[k + half] = (even[k] + t) % q, (even[k] - t) % q
        power = power * w % q
    return out


def to_values(coefficients, psi, q):
    """Position i holds the value at psi^(2 bitrev(i) + 1)."""
    n = len(coefficients)
    twisted = [c * pow(psi, k, q) % q for k, c in enumerate(coefficients)]
    natural = transform(twisted, psi * psi % q, q)
    return [natural[bit_reverse(i, n.bit_length() - 1)] for i in range(n)]


def to_coefficients(values, psi, q):
    n = len(values)
    bits = n.bit_length() - 1
    natural = [values[bit_reverse(i, bits)] for i in range(n)]
    back = pow(psi, -1, q)
    twisted = transform(natural, back * back % q, q)
    scale = pow(n, -1, q)
    return [c * scale * pow(back, k, q) % q for k, c in enumerate(twisted)]


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "too short"
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        out = shift = 0
        while True:
            byte = self.take(1)[0]
            out |= (byte & 0x7F) << shift
            if byte < 0x80:
                return out
            shift += 7

    def signed(self):
        v = self.varint()
        return (v >> 1) ^ -(v & 1)

    def row(self, n, q):
        bits = q.bit_length()
        packed = int.from_bytes(self.take((n * bits + 7) // 8), "little")
        text = packed.to_bytes((n * bits + 7) // 8 + 8, "little")
        out = []
        for i in range(n):
            at = i * bits
            word = int.from_bytes(text[at // 8 : at // 8 + 8], "little")
            out.append((word >> (at % 8)) & ((1 << bits) - 1))
        assert max(out) < q, "a residue is not below its prime"
        return out


def main():
    fields = dict(line.split() for line in sys.stdin)
    n, primes = int(fields["n"]), [int(q) for q in fields["primes"].split(",")]
    reader = Reader(bytes.fromhex(fields["object"]))
    assert reader.take(3) == b"CK\x01"
    kind = reader.take(1)[0]
    reader.take(16)
    levels = [int(c) for c in fields["levels"].split(",")]
    primes_here = primes[: levels[reader.varint()]]
    power = reader.signed()
    exponents = [reader.signed() for _ in range(reader.varint())]
    if kind == 2:
        seed = reader.take(32)
        b = [reader.row(n, q) for q in primes_here]
        a = [uniform(n, q, seed, i) for i, q in enumerate(primes_here)]
        parts = [b, a]
    else:
        assert kind == 1
        parts = [[reader.row(n, q) for q in primes_here] for _ in range(reader.varint())]
    assert reader.at == len(reader.data), "bytes follow"

    secret = ternary(n, bytes.fromhex(fields["secret"]))
    modulus, total = 1, [0] * n
    for index, q in enumerate(primes_here):
        psi = root(n, q)
        s = to_values([c % q for c in secret], psi, q)
        values = [0] * n
        for part in reversed(parts):
            values = [(v * s + c) % q for v, s, c in zip(values, s, part[index])]
        row = to_coefficients(values, psi, q)
        # Chinese remainders, one prime after another.
        step = pow(modulus, -1, q)
        total = [t + modulus * ((r - t) * step % q) for t, r in zip(total, row)]
        modulus *= q
    total = [t - modulus if t > modulus // 2 else t for t in total]
    scale = 2.0**power
    for q, e in zip(primes, exponents):
        scale *= float(q) ** e
    print("scale", scale)
    print("coefficients", *total)
    for j in range(3):
        zeta = cmath.exp(1j * cmath.pi * pow(5, j, 2 * n) / n)
        value = 0
        for c in reversed(total):
            value = value * zeta + c
        print("slot", j, (value / scale).real, (value / scale).imag)


if __name__ == "__main__":
    main()
