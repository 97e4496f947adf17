// Makes a key and uses it: VAULT_URL=https://... node use-key.mjs NAME
import { createHash } from "node:crypto";
import { DefaultAzureCredential } from "@azure/identity";
import { CryptographyClient, KeyClient } from "@azure/keyvault-keys";

const credential = new DefaultAzureCredential();
const key = await new KeyClient(process.env.VAULT_URL, credential).createRsaKey(process.argv[2], { keySize: 2048 });
const crypto = new CryptographyClient(key.id, credential);
const digest = createHash("sha256").update("message").digest();
const { result: signature } = await crypto.sign("RS256", digest);
console.log("signature holds:", (await crypto.verify("RS256", digest, signature)).result);
const { result: ciphertext } = await crypto.encrypt("RSA-OAEP-256", Buffer.from("hello"));
console.log("decrypted:", Buffer.from((await crypto.decrypt("RSA-OAEP-256", ciphertext)).result).toString());
