// Tells of the directory: GRAPH_URL=https://graph.... node graph.mjs NAME makes an application of this name, and finds it again.
import { DefaultAzureCredential } from "@azure/identity";
import { Client } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";

const url = process.env.GRAPH_URL;
const authProvider = new TokenCredentialAuthenticationProvider(new DefaultAzureCredential(), {
  scopes: [`${url}/.default`],
});
const client = Client.initWithMiddleware({
  authProvider,
  baseUrl: url,
  // Tokens go to Microsoft's hosts and to these.
  customHosts: new Set([new URL(url).hostname]),
});

const name = process.argv[2];
const made = await client.api("/applications").post({ displayName: name });
const found = await client.api("/applications").filter(`displayName eq '${name}'`).select(["id", "appId"]).get();
const principal = await client.api("/servicePrincipals").post({ appId: made.appId });
const password = await client
  .api(`/applications/${made.id}/addPassword`)
  .post({ passwordCredential: { displayName: "from node" } });
await client.api(`/applications/${made.id}`).delete();
console.log(found.value.length, found.value[0].id === made.id, principal.appId === made.appId, password.secretText.length > 30);
