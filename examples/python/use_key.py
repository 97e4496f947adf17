import hashlib, os, sys
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import EncryptionAlgorithm, SignatureAlgorithm

keys = KeyClient(os.environ["VAULT_URL"], DefaultAzureCredential())
key = keys.create_rsa_key(sys.argv[1], size=2048)
crypto = keys.get_cryptography_client(key.name)
digest = hashlib.sha256(b"message").digest()
signature = crypto.sign(SignatureAlgorithm.rs256, digest).signature
print("signature holds:", crypto.verify(SignatureAlgorithm.rs256, digest, signature).is_valid)
ciphertext = crypto.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"hello").ciphertext
print("decrypted:", crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, ciphertext).plaintext.decode())
