"""Prints the names of a vault's secrets: VAULT_URL=https://... python list_secrets.py"""
import os

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["VAULT_URL"], DefaultAzureCredential())
for secret in client.list_properties_of_secrets():
    print(secret.name)
