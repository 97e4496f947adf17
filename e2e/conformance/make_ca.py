"""Writes `ca.key` and `ca.crt` into a folder: test_merge_certificate.py reads them beside itself, and the package of the suite lacks them.

That test takes the armour off the certificate that it signed by `rstrip("-----END CERTIFICATE-----")`, which also takes such letters off the
end of the base64 text. A text that ends with `=` is safe. Whether it does follows from the length of the certificate, and so from the
authority's name: the first name is taken with which it does.
"""

import pathlib
import sys
import warnings

warnings.simplefilter("ignore")  # pyOpenSSL's functions are deprecated; they are the ones that the test calls.

from OpenSSL import crypto  # noqa: E402


def named(name, key, issuer=None, issuer_key=None):
    """A certificate as the test makes them: version 1, no extensions."""
    certificate = crypto.X509()
    certificate.set_serial_number(1)
    certificate.gmtime_adj_notBefore(0)
    certificate.gmtime_adj_notAfter(10 * 365 * 24 * 3600)
    certificate.get_subject().CN = name
    certificate.set_issuer((issuer or certificate).get_subject())
    certificate.set_pubkey(key)
    certificate.sign(issuer_key or key, "sha256")
    return certificate


def key():
    made = crypto.PKey()
    made.generate_key(crypto.TYPE_RSA, 2048)
    return made


def is_padded(certificate):
    return len(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)) % 3 != 0


def main(folder):
    own, other = key(), key()
    for name in ("Conformance", "Conformance.", "Conformance.."):
        authority = named(name, own)
        if is_padded(named("MyCert", other, authority, own)):
            break
    (folder / "ca.key").write_bytes(crypto.dump_privatekey(crypto.FILETYPE_PEM, own))
    (folder / "ca.crt").write_bytes(crypto.dump_certificate(crypto.FILETYPE_PEM, authority))


main(pathlib.Path(sys.argv[1]))
