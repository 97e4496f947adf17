"""Every algorithm of keys, each way round, against Python's `cryptography`: what one makes the other must take. Prints how many."""
import base64, hashlib, json, os

from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient
from cryptography.hazmat.primitives import hashes, hmac, keywrap, padding as blocks
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

url = os.environ["VAULT_URL"].rstrip("/")
client = KeyClient(url, DefaultAzureCredential())
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
INFO = bytes.fromhex("3031300d060960864801650304020105000420")
checked = 0


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def data(value):
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def ask(method, path, body):
    answer = client.send_request(HttpRequest(method, f"{url}/keys/{path}?api-version=7.5", json=body))
    answer.raise_for_status()
    return answer.json()


def use(name, operation, **members):
    body = {member: text(value) if isinstance(value, bytes) else value for member, value in members.items()}
    return ask("POST", f"{name}//{operation}", body)


def hold(is_so, what):
    global checked
    assert is_so, what
    checked += 1


def number(value):
    return int.from_bytes(data(value), "big")


def digest(algorithm):
    return hashlib.new("sha" + algorithm[2:5], b"message").digest()


def rsa_scheme(algorithm):
    chosen = HASHES[algorithm[2:5]]
    if algorithm.startswith("RS"):
        return padding.PKCS1v15(), Prehashed(chosen)
    return padding.PSS(padding.MGF1(chosen), chosen.digest_size), Prehashed(chosen)


def rsa_padding(algorithm):
    if algorithm == "RSA1_5":
        return padding.PKCS1v15()
    chosen = hashes.SHA256() if algorithm.endswith("256") else hashes.SHA1()
    return padding.OAEP(padding.MGF1(chosen), chosen, None)


def check_rsa(name, public, private=None):
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]:
        value, scheme = digest(algorithm), rsa_scheme(algorithm)
        signature = data(use(name, "sign", alg=algorithm, value=value)["value"])
        public.verify(signature, value, *scheme)
        hold(use(name, "verify", alg=algorithm, digest=value, value=signature)["value"], (name, algorithm))
        if private:
            theirs = private.sign(value, *scheme)
            hold(use(name, "verify", alg=algorithm, digest=value, value=theirs)["value"], (name, algorithm))
            changed = bytes([theirs[0] ^ 1]) + theirs[1:]
            hold(not use(name, "verify", alg=algorithm, digest=value, value=changed)["value"], (name, algorithm))
    value = digest("RS256")
    public.verify(data(use(name, "sign", alg="RSNULL", value=INFO + value)["value"]), value, *rsa_scheme("RS256"))
    for algorithm in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"]:
        for there, back in [("encrypt", "decrypt"), ("wrapkey", "unwrapkey")]:
            theirs = public.encrypt(b"plaintext", rsa_padding(algorithm))
            hold(data(use(name, back, alg=algorithm, value=theirs)["value"]) == b"plaintext", (name, algorithm))
            ours = data(use(name, there, alg=algorithm, value=b"plaintext")["value"])
            if private:
                hold(private.decrypt(ours, rsa_padding(algorithm)) == b"plaintext", (name, algorithm))
            hold(data(use(name, back, alg=algorithm, value=ours)["value"]) == b"plaintext", (name, algorithm))


def check_ec(name, algorithm, public, private=None):
    value, size = digest(algorithm), (public.curve.key_size + 7) // 8
    scheme = ec.ECDSA(Prehashed(HASHES[algorithm[2:5]]))
    signature = data(use(name, "sign", alg=algorithm, value=value)["value"])
    hold(len(signature) == 2 * size, (name, algorithm))
    halves = [int.from_bytes(half, "big") for half in (signature[:size], signature[size:])]
    public.verify(encode_dss_signature(*halves), value, scheme)
    hold(use(name, "verify", alg=algorithm, digest=value, value=signature)["value"], (name, algorithm))
    if private:
        theirs = b"".join(half.to_bytes(size, "big") for half in decode_dss_signature(private.sign(value, scheme)))
        hold(use(name, "verify", alg=algorithm, digest=value, value=theirs)["value"], (name, algorithm))


def check_oct(bits):
    name, key = f"oct-{bits}", os.urandom(bits // 8)
    operations = ["encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify"]
    ask("PUT", name, {"key": {"kty": "oct", "k": text(key), "key_ops": operations}})
    value, aad, iv = os.urandom(32), b"context", os.urandom(16)
    sealed = use(name, "encrypt", alg=f"A{bits}GCM", value=value, aad=aad)
    opened = AESGCM(key).decrypt(data(sealed["iv"]), data(sealed["value"]) + data(sealed["tag"]), aad)
    hold(opened == value, (name, "GCM"))
    theirs = AESGCM(key).encrypt(iv[:12], value, aad)
    back = use(name, "decrypt", alg=f"A{bits}GCM", value=theirs[:-16], tag=theirs[-16:], iv=iv[:12], aad=aad)
    hold(data(back["value"]) == value, (name, "GCM"))
    for algorithm, plain in [(f"A{bits}CBC", value), (f"A{bits}CBCPAD", value[:21])]:
        pad = blocks.PKCS7(128).padder()
        padded = pad.update(plain) + pad.finalize() if algorithm.endswith("PAD") else plain
        cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        theirs = cipher.update(padded) + cipher.finalize()
        hold(data(use(name, "encrypt", alg=algorithm, value=plain, iv=iv)["value"]) == theirs, (name, algorithm))
        hold(data(use(name, "decrypt", alg=algorithm, value=theirs, iv=iv)["value"]) == plain, (name, algorithm))
    wraps = [(f"A{bits}KW", keywrap.aes_key_wrap, value), ("CKM_AES_KEY_WRAP", keywrap.aes_key_wrap, value)]
    for algorithm, wrap, plain in wraps + [("CKM_AES_KEY_WRAP_PAD", keywrap.aes_key_wrap_with_padding, value[:21])]:
        theirs = wrap(key, plain)
        hold(data(use(name, "wrapkey", alg=algorithm, value=plain)["value"]) == theirs, (name, algorithm))
        hold(data(use(name, "unwrapkey", alg=algorithm, value=theirs)["value"]) == plain, (name, algorithm))
    for algorithm in ["HS256", "HS384", "HS512"]:
        mac = hmac.HMAC(key, HASHES[algorithm[2:5]])
        mac.update(digest(algorithm))
        theirs = mac.finalize()
        hold(data(use(name, "sign", alg=algorithm, value=digest(algorithm))["value"]) == theirs, (name, algorithm))
        hold(use(name, "verify", alg=algorithm, digest=digest(algorithm), value=theirs)["value"], (name, algorithm))


for size in [2048, 3072, 4096]:
    made = client.create_rsa_key(f"rsa-{size}", size=size).key
    check_rsa(f"rsa-{size}", rsa.RSAPublicNumbers(int.from_bytes(made.e, "big"), int.from_bytes(made.n, "big")).public_key())
    private = rsa.generate_private_key(65537, size)
    parts, public = private.private_numbers(), private.public_key()
    members = {"n": parts.public_numbers.n, "e": 65537, "d": parts.d, "p": parts.p, "q": parts.q}
    members |= {"dp": parts.dmp1, "dq": parts.dmq1, "qi": parts.iqmp}
    jwk = {member: text(b"\0" + value.to_bytes((value.bit_length() + 7) // 8, "big")) for member, value in members.items()}
    ask("PUT", f"rsa-{size}-theirs", {"key": {"kty": "RSA", **jwk}})
    check_rsa(f"rsa-{size}-theirs", public, private)

CURVES = [("P-256", "ES256", ec.SECP256R1()), ("P-384", "ES384", ec.SECP384R1())]
for crv, algorithm, curve in CURVES + [("P-521", "ES512", ec.SECP521R1()), ("P-256K", "ES256K", ec.SECP256K1())]:
    made = client.create_ec_key(f"ec-{crv}", curve=crv).key
    numbers = [int.from_bytes(half, "big") for half in (made.x, made.y)]
    check_ec(f"ec-{crv}", algorithm, ec.EllipticCurvePublicNumbers(*numbers, curve).public_key())
    private = ec.generate_private_key(curve)
    parts, size = private.private_numbers(), (curve.key_size + 7) // 8
    members = {"x": parts.public_numbers.x, "y": parts.public_numbers.y, "d": parts.private_value}
    jwk = {member: text(value.to_bytes(size, "big")) for member, value in members.items()}
    ask("PUT", f"ec-{crv}-theirs", {"key": {"kty": "EC", "crv": crv, **jwk}})
    check_ec(f"ec-{crv}-theirs", algorithm, private.public_key(), private)

for bits in [128, 192, 256]:
    check_oct(bits)
print(checked)
