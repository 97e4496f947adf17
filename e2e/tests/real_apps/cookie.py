"""Signs a Datasette cookie for an actor, as itsdangerous' URL safe serializer does; standard library only."""
import base64
import hashlib
import hmac
import json
import sys

key, actor = sys.argv[1:]


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


payload = encoded(json.dumps({"a": {"id": actor}}, separators=(",", ":")).encode())
derived = hashlib.sha1(b"actor" + b"signer" + key.encode()).digest()
print((payload + b"." + encoded(hmac.new(derived, payload, hashlib.sha1).digest())).decode(), end="")
