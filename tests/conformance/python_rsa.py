"""RSA with SHA-256 for signing tokens (RS256, RFC 7518 section 3.3). For tests only: keys are generated fast and not stored."""

import base64
import hashlib
import math
import secrets

# The ASN.1 prefix of a SHA-256 digest (RFC 8017 section 9.2).
SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
EXPONENT = 65537
# Contains every small prime factor, so that one gcd rules out most candidates.
SMALL = math.factorial(1000)


def url_safe(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def prime(bits):
    """Returns a probable prime, by Fermat's test."""
    while True:
        number = secrets.randbits(bits) | 3 << bits - 2 | 1
        if math.gcd(number, SMALL) > 1 or number % EXPONENT == 1:
            continue
        if all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)):
            return number


class RsaKey:
    """A key of 2048 bits."""

    def __init__(self):
        p, q = prime(1024), prime(1024)
        self.modulus = p * q
        self.secret = pow(EXPONENT, -1, (p - 1) * (q - 1))

    def public(self):
        """Returns `n` and `e` of a JWK."""
        return {"n": url_safe(self.modulus.to_bytes(256, "big")), "e": url_safe(EXPONENT.to_bytes(3, "big"))}

    def sign(self, data):
        digest = SHA256 + hashlib.sha256(data).digest()
        padded = b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest
        return pow(int.from_bytes(padded, "big"), self.secret, self.modulus).to_bytes(256, "big")
