// Prints a secret: VAULT_URL=https://... node read-secret.mjs NAME
import { DefaultAzureCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient(process.env.VAULT_URL, new DefaultAzureCredential());
console.log((await client.getSecret(process.argv[2])).value);
