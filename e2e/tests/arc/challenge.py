"""Azure Arc's protocol by hand: `ask`, which says where the key is and what is in it; `take KEY`, which says how that is answered."""
import http.client
import os
import sys
import urllib.parse

what, *rest = sys.argv[1:]
url = urllib.parse.urlsplit(os.environ["IDENTITY_ENDPOINT"])
connection = http.client.HTTPConnection(url.hostname, url.port)
headers = {"Metadata": "true"}
if what == "take":
    headers["Authorization"] = f"Basic {rest[0]}"
target = f"{rest[1] if len(rest) > 1 else url.path}?api-version=2020-06-01&resource=https://vault.azure.net"
connection.request("GET", target, headers=headers)
answer = connection.getresponse()
body = answer.read().decode()
if what == "ask":
    assert answer.status == 401, (answer.status, body)
    path = answer.headers["WWW-Authenticate"].removeprefix("Basic realm=")
    status = os.stat(path)
    with open(path) as file:
        print(path, oct(status.st_mode & 0o777), status.st_uid == os.getuid(), file.read())
else:
    print(answer.status, body)
