#!/usr/bin/env python3
"""SEAL, through TenSEAL's bindings, beside this crate: one run, the best sample of each, the ratios.

    python3 -m venv /tmp/seal && /tmp/seal/bin/pip install tenseal
    /tmp/seal/bin/python ckks/benches/compare_seal.py

SEAL runs with its own 128-bit defaults for the same ring: 36+30+36 bits at 4096, 60+40+40+60 at 8192.
"""

import re
import subprocess
import sys
import time

import tenseal.sealapi as seal


def best(run, seconds=0.5):
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
    keys = seal.KeyGenerator(context)
    public, relin, galois = seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    keys.create_public_key(public)
    keys.create_relin_keys(relin)
    keys.create_galois_keys(galois)
    secret = keys.secret_key()
    encryptor = seal.Encryptor(context, public, secret)
    evaluator, encoder, decryptor = seal.Evaluator(context), seal.CKKSEncoder(context), seal.Decryptor(context, secret)
    scale = 2.0**log_scale
    values = [((i * 37) % 100) / 100 for i in range(n // 2)]
    plain = seal.Plaintext()
    encoder.encode(values, scale, plain)
    a, b, out = seal.Ciphertext(), seal.Ciphertext(), seal.Ciphertext()
    encryptor.encrypt(plain, a)
    encryptor.encrypt(plain, b)
    scratch = seal.Plaintext()

    def multiply():
        evaluator.multiply(a, b, out)
        evaluator.relinearize_inplace(out, relin)
        evaluator.rescale_to_next_inplace(out)

    product = seal.Ciphertext()
    evaluator.multiply(a, b, product)
    evaluator.relinearize_inplace(product, relin)

    def decrypt(c):
        decryptor.decrypt(c, scratch)
        encoder.decode_double(scratch)

    last = seal.Ciphertext()
    encryptor.encrypt(plain, last)
    for _ in bits[2:]:
        evaluator.mod_switch_to_next_inplace(last)
    rows = {
        "encode and transform": lambda: encoder.encode(values, scale, scratch),
        "encrypt, public key": lambda: encryptor.encrypt(plain, out),
        "encrypt, symmetric seeded": lambda: encryptor.encrypt_symmetric(plain),
        "add in place": lambda: evaluator.add_inplace(a, b),
        "multiply by plaintext": lambda: evaluator.multiply_plain(a, plain, out),
        "rescale": lambda: evaluator.rescale_to_next(product, out),
        "multiply, relinearise, rescale": multiply,
        "rotate by one": lambda: evaluator.rotate_vector(a, 1, galois, out),
        "decrypt and decode, top level": lambda: decrypt(a),
        "decrypt and decode, last level": lambda: decrypt(last),
    }
    out_rows = {name: best(run) for name, run in rows.items()}
    out_rows |= errors(n, scale, encoder, encryptor, evaluator, decryptor, relin)
    return out_rows


def errors(n, scale, encoder, encryptor, evaluator, decryptor, relin):
    """The same sums and products as the crate's table."""
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
    product = seal.Ciphertext()
    evaluator.multiply(*ciphertexts, product)
    evaluator.relinearize_inplace(product, relin)
    evaluator.rescale_to_next_inplace(product)

    def largest(c, wanted):
        decrypted = seal.Plaintext()
        decryptor.decrypt(c, decrypted)
        return max(abs(a - b) for a, b in zip(encoder.decode_double(decrypted), wanted))

    x, y = values
    return {
        "largest error, sum of 1000": largest(total, [1000 * v for v in x]),
        "largest error, one product": largest(product, [a * b for a, b in zip(x, y)]),
    }


def our_rows(n):
    command = ["cargo", "bench", "-p", "ckks", "--bench", "table", "--", str(n)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # The last set of this dimension is the one that multiplies.
    table = text.rsplit("| operation", 1)[1]
    return {name: float(us) for name, us in re.findall(r"^\| (.+?) \| ([\d.e-]+) \|", table, re.M)}


def main():
    for n, bits, log_scale in [(4096, [36, 30, 36], 30), (8192, [60, 40, 40, 60], 40)]:
        ours, theirs = our_rows(n), seal_rows(n, bits, log_scale)
        print(f"\nN = {n}\n\n| operation | SEAL, µs | this crate, µs | ratio |\n|---|---|---|---|")
        for name, time_seal in theirs.items():
            form = ".1e" if "error" in name else ".1f"
            print(f"| {name} | {time_seal:{form}} | {ours[name]:{form}} | {time_seal / ours[name]:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
