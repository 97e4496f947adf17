"""Calls a web API as the app's managed identity: python call_api.py api://orders http://127.0.0.1:PORT/orders"""
import sys
from urllib.request import Request, urlopen

from azure.identity import DefaultAzureCredential

audience, url = sys.argv[1:]
token = DefaultAzureCredential().get_token(f"{audience}/.default").token
print(urlopen(Request(url, headers={"Authorization": f"Bearer {token}"})).read().decode())
