"""A web API of one's own. The directory vouches for its callers: AUTHORITY=https://login.../TENANT CALLERS=ID,... python orders_api.py PORT"""
import json, os, sys, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

AUDIENCE, CALLERS = "api://orders", os.environ["CALLERS"].split(",")
with urllib.request.urlopen(os.environ["AUTHORITY"] + "/.well-known/openid-configuration") as answer:
    DIRECTORY = json.load(answer)
KEYS = jwt.PyJWKClient(DIRECTORY["jwks_uri"])
CHECKS = {"issuer": DIRECTORY["issuer"], "audience": AUDIENCE, "options": {"require": ["exp", "nbf", "iss", "aud", "oid"]}}


def caller(authorization):
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise jwt.InvalidTokenError("a bearer token is needed")
    return jwt.decode(token, KEYS.get_signing_key_from_jwt(token), algorithms=["RS256"], **CHECKS)


class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            claims = caller(self.headers.get("Authorization", ""))
        except jwt.PyJWTError as error:
            return self.answer(401, {"error": str(error)})
        granted = claims.get("roles", []) + claims.get("scp", "").split()
        if "Orders.Read" not in granted and claims["oid"] not in CALLERS:
            return self.answer(403, {"error": "the caller may not read orders"})
        self.answer(200, {"orders": ["one", "two"], "caller": claims["oid"]})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Orders)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
