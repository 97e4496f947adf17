// Prints the names of a vault's secrets: VAULT_URL=https://... node list-secrets.mjs
import { DefaultAzureCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient(process.env.VAULT_URL, new DefaultAzureCredential());
for await (const secret of client.listPropertiesOfSecrets()) console.log(secret.name);
