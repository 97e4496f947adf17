// Prints a secret by the managed identity and nothing else: VAULT_URL=https://... node managed.mjs NAME
import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient(process.env.VAULT_URL, new ManagedIdentityCredential());
console.log((await client.getSecret(process.argv[2])).value);
