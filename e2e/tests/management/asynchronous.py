"""The same five SDKs, by their asynchronous clients: one of each thing made, read, listed in pages and deleted."""

import asyncio

from azure.identity.aio import ClientSecretCredential as AsyncCredential
from azure.mgmt.authorization.aio import AuthorizationManagementClient as Roles
from azure.mgmt.authorization.models import RoleAssignmentCreateParameters
from azure.mgmt.keyvault.aio import KeyVaultManagementClient as Vaults
from azure.mgmt.msi.aio import ManagedServiceIdentityClient as Identities
from azure.mgmt.msi.models import FederatedIdentityCredential
from azure.mgmt.resource.resources.aio import ResourceManagementClient as Resources
from azure.mgmt.web.aio import WebSiteManagementClient as Sites


async def fails(kind, code, awaited):
    try:
        await awaited
    except HttpResponseError as error:
        assert type(error) is kind and error.error.code == code, (type(error), str(error))
        return
    raise AssertionError("not refused")


async def paged(listed):
    return [[one.name async for one in page] async for page in listed.by_page()]


def credential(name):
    client, secret, principal = os.environ[name].split(":")
    told = {"authority": AUTHORITY, "disable_instance_discovery": True}
    return AsyncCredential(TENANT, client, secret, **told), principal


async def main():
    (owner, _), (stranger, principal) = credential("OWNER"), credential("STRANGER")
    clients = [made(owner, SUBSCRIPTION, **AT) for made in (Resources, Vaults, Identities, Roles, Sites)]
    resources, vaults, identities, roles, sites = clients
    theirs = Resources(stranger, SUBSCRIPTION, **AT)
    for name in ("shop", "other", "third"):
        await resources.resource_groups.create_or_update(name, {"location": "local"})
    assert [len(page) for page in await paged(resources.resource_groups.list(top=3))] == [3, 1]
    await fails(HttpResponseError, "AuthorizationFailed", theirs.resource_groups.get("shop"))

    for name in ("till", "more"):
        said = {"location": "local", "properties": {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}}}
        vault = await (await vaults.vaults.begin_create_or_update("shop", name, said)).result()
        assert vault.name == name and vault.properties.vault_uri, vault
    assert await paged(vaults.vaults.list_by_resource_group("shop", top=1)) == [["more"], ["till"]]
    await vaults.vaults.delete("shop", "till")
    await fails(ResourceNotFoundError, "ResourceNotFound", vaults.vaults.get("shop", "till"))
    assert await (await vaults.vaults.begin_purge_deleted("till", "local")).result() is None

    readers = await identities.user_assigned_identities.create_or_update("shop", "readers", {"location": "local"})
    assert readers.principal_id and readers.client_id, readers
    trusted = {"issuer": "https://issuer.example", "subject": "x", "audiences": ["api://AzureADTokenExchange"]}
    credentials = identities.federated_identity_credentials
    await credentials.create_or_update("shop", "readers", "one", FederatedIdentityCredential(**trusted))
    assert await paged(credentials.list("shop", "readers")) == [["one"]]
    await fails(ResourceNotFoundError, "ResourceNotFound", credentials.get("shop", "readers", "two"))

    (reader,) = [one async for one in roles.role_definitions.list(SUBSCRIPTION_ID, filter="roleName eq 'Reader'")]
    of_program = {"principal_id": principal, "principal_type": "ServicePrincipal"}
    given = RoleAssignmentCreateParameters(role_definition_id=reader.id, **of_program)
    shop = f"{SUBSCRIPTION_ID}/resourceGroups/shop"
    made = await roles.role_assignments.create(shop, str(uuid.uuid4()), given)
    assert (await theirs.resource_groups.get("shop")).name == "shop"
    assert (await roles.role_assignments.delete_by_id(made.id)).id == made.id
    await fails(HttpResponseError, "AuthorizationFailed", theirs.resource_groups.get("shop"))

    said = {"location": "local", "properties": {"siteConfig": {"appSettings": [{"name": "A", "value": "b"}]}}}
    site = await (await sites.web_apps.begin_create_or_update("shop", "till", said)).result()
    assert site.properties.default_host_name, site
    assert (await sites.web_apps.list_application_settings("shop", "till")).properties == {"A": "b"}
    await sites.web_apps.stop("shop", "till")
    assert [one.properties.state async for one in sites.web_apps.list_by_resource_group("shop")] == ["Stopped"]
    await sites.web_apps.delete("shop", "till")
    await fails(ResourceNotFoundError, "ResourceNotFound", sites.web_apps.get("shop", "till"))

    assert await (await resources.resource_groups.begin_delete("shop")).result() is None
    assert await resources.resource_groups.check_existence("shop") is False
    for one in (*clients, theirs, owner, stranger):
        await one.close()


asyncio.run(main())
print("done")
