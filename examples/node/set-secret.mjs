// Keeps standard input as a secret: VAULT_URL=https://... node set-secret.mjs NAME < value
import { readFileSync } from "node:fs";
import { DefaultAzureCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient(process.env.VAULT_URL, new DefaultAzureCredential());
const secret = await client.setSecret(process.argv[2], readFileSync(0, "utf8"));
console.log(secret.properties.version);
