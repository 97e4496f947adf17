// Prints a secret as the identity that a selector names: VAULT_URL=https://... node selected.mjs clientId|objectId|resourceId ID NAME
import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const [kind, id, name] = process.argv.slice(2);
const credential = new ManagedIdentityCredential({ [kind]: id });
console.log((await new SecretClient(process.env.VAULT_URL, credential).getSecret(name)).value);
