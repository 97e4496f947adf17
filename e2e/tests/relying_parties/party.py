"""A web app that signs people in by Authlib, and verifies what it is given by joserfc."""

import os
import subprocess

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import InvalidClaimError
from joserfc.jwk import KeySet

ISSUER, CLIENT, SECRET, REDIRECT_URI, NATIVE, API, PERSON = (
    os.environ[name] for name in ("ISSUER", "CLIENT", "SECRET", "REDIRECT_URI", "NATIVE", "API", "PERSON")
)
metadata = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=30).json()
assert metadata["issuer"] == ISSUER, metadata
TOKEN = metadata["token_endpoint"]
keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())


def person(*arguments):
    return subprocess.run([PERSON, *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def claims(token, **expected):
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    registry = jwt.JWTClaimsRegistry(**{name: {"essential": True, "value": value} for name, value in expected.items()})
    registry.validate(decoded.claims)
    return decoded.claims


def refused(error, call):
    try:
        call()
    except OAuthError as refusal:
        assert refusal.error == error, refusal
    else:
        raise AssertionError(f"{error} was expected")


session = OAuth2Session(
    CLIENT, SECRET, scope="openid profile email offline_access", redirect_uri=REDIRECT_URI, code_challenge_method="S256"
)
verifier, nonce = generate_token(48), generate_token()
url, state = session.create_authorization_url(metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier)
answer = person(url)
tokens = session.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier, state=state)
who = claims(tokens["id_token"], iss=ISSUER, aud=CLIENT, nonce=nonce)
try:
    claims(tokens["id_token"], aud="another")
except InvalidClaimError:
    pass
else:
    raise AssertionError("another's token")
user = session.get(metadata["userinfo_endpoint"]).json()
assert user["sub"] == who["sub"] and user["email"] == "alice@mail.example", user

renewed = session.refresh_token(TOKEN, refresh_token=tokens["refresh_token"])
assert claims(renewed["id_token"], iss=ISSUER, aud=CLIENT)["sub"] == who["sub"]
refused("invalid_grant", lambda: session.fetch_token(TOKEN, authorization_response=answer, code_verifier=verifier, state=state))

posting = OAuth2Session(CLIENT, SECRET, token_endpoint_auth_method="client_secret_post")
own = posting.fetch_token(TOKEN, grant_type="client_credentials", scope=f"{API}/.default")
assert claims(own["access_token"], aud=API)["tid"] == who["tid"]
wrong = OAuth2Session(CLIENT, "wrong", token_endpoint_auth_method="client_secret_post")
refused("invalid_client", lambda: wrong.fetch_token(TOKEN, grant_type="client_credentials", scope=f"{API}/.default"))

# Devices have nothing to prove themselves by.
native = OAuth2Session(NATIVE, token_endpoint_auth_method="none")
asked = {"client_id": NATIVE, "scope": "openid"}
device = requests.post(metadata["device_authorization_endpoint"], data=asked, timeout=30).json()
poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}
refused("authorization_pending", lambda: native.fetch_token(TOKEN, **poll))
person(device["verification_uri"], device["user_code"])
assert claims(native.fetch_token(TOKEN, **poll)["id_token"], iss=ISSUER, aud=NATIVE)["oid"] == who["oid"]

session.token = renewed
assert session.revoke_token(metadata["revocation_endpoint"], renewed["refresh_token"]).status_code == 200
refused("invalid_grant", lambda: session.refresh_token(TOKEN, refresh_token=renewed["refresh_token"]))
print("all held")
