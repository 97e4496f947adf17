"""Prints a secret as the identity that a selector names: VAULT_URL=https://... python selected.py client|object|resource ID NAME"""
import os, sys

from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

kind, identity, name = sys.argv[1:]
credential = ManagedIdentityCredential(identity_config={f"{kind}_id": identity})
print(SecretClient(os.environ["VAULT_URL"], credential).get_secret(name).value)
