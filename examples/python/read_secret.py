"""Prints a secret: VAULT_URL=https://... python read_secret.py NAME"""
import os
import sys

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
print(client.get_secret(sys.argv[1]).value)
