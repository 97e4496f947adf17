"""Prints a secret by the managed identity and nothing else: VAULT_URL=https://... python managed.py NAME"""
import os
import sys

from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["VAULT_URL"], ManagedIdentityCredential())
print(client.get_secret(sys.argv[1]).value)
