"""Makes a self-signed certificate and downloads it with its key: VAULT_URL=https://... python create_certificate.py NAME"""
import os, sys
from azure.identity import DefaultAzureCredential
from azure.keyvault.certificates import CertificateClient, CertificatePolicy
from azure.keyvault.secrets import SecretClient

url, name, credential = os.environ["VAULT_URL"], sys.argv[1], DefaultAzureCredential()
policy = CertificatePolicy("Self", subject=f"CN={name}")
certificate = CertificateClient(url, credential).begin_create_certificate(name, policy).result()
print(certificate.properties.x509_thumbprint.hex())
print(SecretClient(url, credential).get_secret(name).value)
