"""Presents a token at the token endpoint: exchange.py FILE|TEXT, prints status and body. Standard library only."""
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

given = sys.argv[1]
text = open(given).read() if given.startswith("/") else given
form = urllib.parse.urlencode({
    "grant_type": "client_credentials",
    "client_id": sys.argv[2],
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": text,
    "scope": "https://vault.azure.net/.default",
})
url = f"{os.environ['AZURE_AUTHORITY_HOST']}{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
try:
    with urllib.request.urlopen(url, form.encode(), timeout=20) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
