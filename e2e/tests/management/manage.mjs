// The management SDKs for JavaScript: a vault and an app are made, read, listed in pages, changed and deleted; a reader may not.
import assert from "node:assert/strict";
import { WebSiteManagementClient } from "@azure/arm-appservice";
import { KeyVaultManagementClient } from "@azure/arm-keyvault";
import { ClientSecretCredential } from "@azure/identity";

const { MANAGEMENT, AUTHORITY, TENANT, SUBSCRIPTION, VAULT_URL } = process.env;

function clients(who) {
  const [client, secret] = process.env[who].split(":");
  const told = { authorityHost: AUTHORITY, disableInstanceDiscovery: true };
  const credential = new ClientSecretCredential(TENANT, client, secret, told);
  const at = { endpoint: MANAGEMENT, credentials: { scopes: [`${MANAGEMENT}/.default`] } };
  const { vaults } = new KeyVaultManagementClient(credential, SUBSCRIPTION, at);
  const { webApps } = new WebSiteManagementClient(credential, SUBSCRIPTION, at);
  return { vaults, webApps };
}

const refused = (status, code, call) =>
  assert.rejects(call, (error) => {
    assert.equal(error.statusCode, status, error.message);
    assert.equal(error.code, code, error.message);
    return true;
  });

const [owner, reader, stranger] = ["OWNER", "READER", "STRANGER"].map(clients);
// The group that is always there.
const group = "keyless";
const properties = { tenantId: TENANT, sku: { family: "A", name: "standard" }, enableRbacAuthorization: true };
const wanted = { location: "local", tags: { of: "node" }, properties };
const till = await owner.vaults.createOrUpdate(group, "till", wanted);
assert.equal(till.id, `/subscriptions/${SUBSCRIPTION}/resourceGroups/${group}/providers/Microsoft.KeyVault/vaults/till`);
assert.equal(till.properties.vaultUri, `${VAULT_URL}/`);
assert.deepEqual([till.name, till.type, till.location, till.tags.of], ["till", "Microsoft.KeyVault/vaults", "local", "node"]);
for (const name of ["desk", "door"]) await owner.vaults.createOrUpdate(group, name, wanted);
const pages = [];
for await (const page of owner.vaults.listBySubscription({ top: 2 }).byPage()) pages.push(page.map((one) => one.name));
assert.deepEqual(pages, [["desk", "door"], ["till"]]);
const changed = await owner.vaults.update(group, "till", { tags: { of: "us" } });
assert.equal(changed.tags.of, "us");
await refused(403, "AuthorizationFailed", () => reader.vaults.delete(group, "till"));
await refused(403, "AuthorizationFailed", () => stranger.vaults.get(group, "till"));
await refused(404, "ResourceNotFound", () => owner.vaults.get(group, "nothing"));
await refused(400, "InvalidResourceName", () => owner.vaults.get(group, "un_der"));
await owner.vaults.delete(group, "till");
const gone = await owner.vaults.getDeleted("till", "local");
assert.equal(gone.properties.vaultId, till.id);
assert.ok(gone.properties.scheduledPurgeDate > gone.properties.deletionDate);
await refused(409, "ConflictError", async () => await owner.vaults.createOrUpdate(group, "till", wanted));
await owner.vaults.purgeDeleted("till", "local");
await refused(404, "DeletedVaultNotFound", () => owner.vaults.getDeleted("till", "local"));

const site = await owner.webApps.createOrUpdate(group, "shop", { location: "local", identity: { type: "SystemAssigned" } });
assert.ok(site.identity.principalId && site.defaultHostName, JSON.stringify(site));
await owner.webApps.updateApplicationSettings(group, "shop", { properties: { A: "b" } });
assert.deepEqual({ ...(await owner.webApps.listApplicationSettings(group, "shop")).properties }, { A: "b" });
await refused(403, "AuthorizationFailed", () => reader.webApps.listApplicationSettings(group, "shop"));
await owner.webApps.delete(group, "shop");
await refused(404, "ResourceNotFound", () => owner.webApps.get(group, "shop"));
console.log("done");
