// Makes a self-signed certificate and downloads it with its key: VAULT_URL=https://... node create-certificate.mjs NAME
import { DefaultAzureCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { SecretClient } from "@azure/keyvault-secrets";

const [url, name, credential] = [process.env.VAULT_URL, process.argv[2], new DefaultAzureCredential()];
const certificates = new CertificateClient(url, credential);
const poller = await certificates.beginCreateCertificate(name, { issuerName: "Self", subject: `CN=${name}` });
const certificate = await poller.pollUntilDone();
console.log(Buffer.from(certificate.properties.x509Thumbprint).toString("hex"));
console.log((await new SecretClient(url, credential).getSecret(name)).value);
