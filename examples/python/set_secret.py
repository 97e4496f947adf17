"""Keeps standard input as a secret: VAULT_URL=https://... python set_secret.py NAME < value"""
import os
import sys

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
print(client.set_secret(sys.argv[1], sys.stdin.read()).properties.version)
