#!/usr/bin/env python3
"""SEAL, through TenSEAL's bindings, beside this crate: one run, the best sample of each, the ratios.

    python3 -m venv /tmp/seal && /tmp/seal/bin/pip install tenseal
    /tmp/seal/bin/python ckks/benches/compare_seal.py [--vectors avx2] [N ...]

SEAL runs with 128 bits of security by its own table: 54 bits at 2048 (no special prime, so no products),
36+30+36 at 4096, 60+40+40+60 at 8192, and 60+7*40+60 (400 bits, 8 digits) at 16384. Reading a seeded
ciphertext is from a file in memory, the only way that the bindings have, and includes SEAL's decompression.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import tenseal.sealapi as seal

SETS = {
    2048: ([54], 30),
    4096: ([36, 30, 36], 30),
    8192: ([60, 40, 40, 60], 40),
    16384: ([60, *[40] * 7, 60], 40),
}


def best(run, seconds=1.0):
    """The best time of one run, in microseconds."""
    run()
    out, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        out = min(out, time.perf_counter() - start)
    return out * 1e6


def seal_rows(n, bits, log_scale):
    parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(n)
    parms.set_coeff_modulus(seal.CoeffModulus.Create(n, bits))
    context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
    evaluator, encoder = seal.Evaluator(context), seal.CKKSEncoder(context)
    scale = 2.0**log_scale
    keys = seal.KeyGenerator(context)
    public, relin, galois = seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    keys.create_public_key(public)
    encryptor = seal.Encryptor(context, public, keys.secret_key())
    decryptor = seal.Decryptor(context, keys.secret_key())
    values = [((i * 37) % 100) / 100 for i in range(n // 2)]
    plain, scratch = seal.Plaintext(), seal.Plaintext()
    encoder.encode(values, scale, plain)
    a, b, out = seal.Ciphertext(), seal.Ciphertext(), seal.Ciphertext()
    encryptor.encrypt(plain, a)
    encryptor.encrypt(plain, b)
    factor = seal.Ciphertext()
    encryptor.encrypt(plain, factor)

    def multiply_plain():
        evaluator.multiply_plain_inplace(factor, plain)
        factor.scale = scale

    def decrypt(c):
        decryptor.decrypt(c, scratch)
        encoder.decode_double(scratch)

    rows = {
        "encode and transform": lambda: encoder.encode(values, scale, scratch),
        "encrypt, public key": lambda: encryptor.encrypt(plain, out),
        "encrypt, symmetric seeded": lambda: encryptor.encrypt_symmetric(plain),
        "add in place": lambda: evaluator.add_inplace(a, b),
    }
    # Without a further prime the scale of a product is more than SEAL lets pass.
    if context.using_keyswitching():
        keys.create_relin_keys(relin)
        keys.create_galois_keys([3], galois)  # 3 generates SEAL's rotations: by one
        product = seal.Ciphertext()
        evaluator.multiply(a, b, product)
        evaluator.relinearize_inplace(product, relin)

        def multiply():
            evaluator.multiply(a, b, out)
            evaluator.relinearize_inplace(out, relin)
            evaluator.rescale_to_next_inplace(out)

        rows |= {
            "multiply by plaintext": multiply_plain,
            "rescale": lambda: evaluator.rescale_to_next(product, out),
            "multiply, relinearise, rescale": multiply,
            "rotate by one": lambda: evaluator.rotate_vector(a, 1, galois, out),
        }
    rows["decrypt and decode, top level"] = lambda: decrypt(a)
    if len(bits) > 2:
        last = seal.Ciphertext()
        encryptor.encrypt(plain, last)
        for _ in bits[2:]:
            evaluator.mod_switch_to_next_inplace(last)
        rows["decrypt and decode, last level"] = lambda: decrypt(last)
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        path = os.path.join(folder, "seeded")
        encryptor.encrypt_symmetric(plain).save(path)
        rows["read and expand a seeded ciphertext"] = lambda: out.load(context, path)
        timed = {name: best(run) for name, run in rows.items()}
    # The largest error depends on the key: the median of as many keys as the crate's table takes.
    several = [errors(context, n, scale) for _ in range(5 if n <= 8192 else 1)]
    return timed | {name: statistics.median(e[name] for e in several) for name in several[0]}


def errors(context, n, scale):
    """The same sums and products as the crate's table, under a key of their own."""
    keys = seal.KeyGenerator(context)
    public = seal.PublicKey()
    keys.create_public_key(public)
    encryptor = seal.Encryptor(context, public, keys.secret_key())
    evaluator, encoder = seal.Evaluator(context), seal.CKKSEncoder(context)
    decryptor = seal.Decryptor(context, keys.secret_key())
    values = [[((i * 37 + salt) % 199) / 99 - 1 for i in range(n // 2)] for salt in (0, 71)]
    plain = [seal.Plaintext(), seal.Plaintext()]
    ciphertexts = [seal.Ciphertext(), seal.Ciphertext()]
    for v, p, c in zip(values, plain, ciphertexts):
        encoder.encode(v, scale, p)
        encryptor.encrypt(p, c)
    total, term = seal.Ciphertext(), seal.Ciphertext()
    encryptor.encrypt(plain[0], total)
    for _ in range(999):
        encryptor.encrypt(plain[0], term)
        evaluator.add_inplace(total, term)

    def largest(c, wanted):
        decrypted = seal.Plaintext()
        decryptor.decrypt(c, decrypted)
        return max(abs(a - b) for a, b in zip(encoder.decode_double(decrypted), wanted))

    x, y = values
    out = {"largest error, sum of 1000": largest(total, [1000 * v for v in x])}
    if context.using_keyswitching():
        relin, product = seal.RelinKeys(), seal.Ciphertext()
        keys.create_relin_keys(relin)
        evaluator.multiply(*ciphertexts, product)
        evaluator.relinearize_inplace(product, relin)
        evaluator.rescale_to_next_inplace(product)
        out["largest error, one product"] = largest(product, [a * b for a, b in zip(x, y)])
    return out


def our_rows(n, vectors):
    command = ["cargo", "bench", "-p", "ckks", "--bench", "table", "--", str(n), *vectors]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The last set of this dimension is the one that multiplies.
    table = text.rsplit("| operation", 1)[1]
    return {name: float(us) for name, us in re.findall(r"^\| (.+?) \| ([\d.e-]+) \|", table, re.M)}


def main():
    arguments = sys.argv[1:]
    vectors = []
    if "--vectors" in arguments:
        at = arguments.index("--vectors")
        vectors = arguments[at : at + 2]
        del arguments[at : at + 2]
    for n in [int(n) for n in arguments] or SETS:
        bits, log_scale = SETS[n]
        ours, theirs = our_rows(n, vectors), seal_rows(n, bits, log_scale)
        print(f"\nN = {n}\n\n| operation | SEAL, µs | this crate, µs | ratio |\n|---|---|---|---|")
        for name, time_seal in theirs.items():
            form = ".1e" if "error" in name else ".1f"
            print(f"| {name} | {time_seal:{form}} | {ours[name]:{form}} | {time_seal / ours[name]:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
