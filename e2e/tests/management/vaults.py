"""azure-mgmt-keyvault: vaults, from their making to their purge."""

from azure.keyvault.secrets import SecretClient
from azure.mgmt.keyvault.models import (
    AccessPolicyEntry,
    IPRule,
    NetworkRuleSet,
    Permissions,
    Sku,
    VaultAccessPolicyParameters,
    VaultAccessPolicyProperties,
    VaultCheckNameAvailabilityParameters,
    VaultCreateOrUpdateParameters,
    VaultPatchParameters,
    VaultPatchProperties,
    VaultProperties,
)

owner, reader, stranger = Who("owner"), Who("reader"), Who("stranger")
for group in ("shop", "other"):
    owner.groups.create_or_update(group, {"location": "westeurope"})


def wanted(location="westeurope", tags=None, **more):
    properties = VaultProperties(tenant_id=TENANT, sku=Sku(family="A", name="standard"), **more)
    return VaultCreateOrUpdateParameters(location=location, tags=tags, properties=properties)


def allowed(who, *verbs):
    return AccessPolicyEntry(tenant_id=TENANT, object_id=who.principal, permissions=Permissions(secrets=list(verbs)))


PROPERTIES = """tenant_id sku.name sku.family access_policies vault_uri enable_soft_delete soft_delete_retention_in_days
    enable_rbac_authorization network_acls.default_action network_acls.bypass public_network_access provisioning_state
    enabled_for_deployment"""
EVERYTHING = "id name type location " + " ".join(f"properties.{name}" for name in PROPERTIES.split())

making = wanted(tags={"of": "sdk"}, access_policies=[], enable_rbac_authorization=False, soft_delete_retention_in_days=7)
made = full(ended(owner.vaults.begin_create_or_update("shop", "till", making)), EVERYTHING)
assert made.id == f"{SUBSCRIPTION_ID}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/till", made
assert (made.name, made.type, made.location) == ("till", "Microsoft.KeyVault/vaults", "westeurope"), made
assert made.tags == {"of": "sdk"} and made.properties.tenant_id == TENANT, made
assert made.properties.vault_uri == os.environ["VAULT_URL"] + "/", made
assert made.properties.soft_delete_retention_in_days == 7 and made.properties.provisioning_state == "Succeeded", made
assert made.properties.enable_rbac_authorization is False and made.properties.access_policies == [], made
assert full(owner.vaults.get("SHOP", "Till"), EVERYTHING).id == made.id, "the same in any case"

# Access policies count at once, in the vault itself.
secrets = owner.secrets(made)
try:
    secrets.set_secret("db", "s3cret of till")
    raise SystemExit("no policy allows that")
except HttpResponseError as error:
    assert error.status_code == 403, error


def policies(*entries):
    return VaultAccessPolicyParameters(properties=VaultAccessPolicyProperties(access_policies=list(entries)))


edited = owner.vaults.update_access_policy("shop", "till", "add", policies(allowed(owner, "get", "set")))
full(edited, "id type properties.access_policies")
secrets.set_secret("db", "s3cret of till")
assert secrets.get_secret("db").value == "s3cret of till"
owner.vaults.update_access_policy("shop", "till", "add", policies(allowed(owner, "list"), allowed(reader, "get")))
kept = {one.object_id: set(one.permissions.secrets) for one in owner.vaults.get("shop", "till").properties.access_policies}
assert kept == {owner.principal: {"get", "set", "list"}, reader.principal: {"get"}}, kept
assert reader.secrets(made).get_secret("db").value == "s3cret of till"
owner.vaults.update_access_policy("shop", "till", "remove", policies(allowed(reader, "get")))
try:
    reader.secrets(made).get_secret("db")
    raise SystemExit("that policy is removed")
except HttpResponseError as error:
    assert error.status_code == 403, error
replaced = owner.vaults.update_access_policy("shop", "till", "replace", policies(allowed(owner, "get")))
assert [one.permissions.secrets for one in replaced.properties.access_policies] == [["get"]], replaced

changed = owner.vaults.update(
    "shop",
    "till",
    VaultPatchParameters(
        tags={"of": "sdk", "changed": "yes"},
        properties=VaultPatchProperties(
            sku=Sku(family="A", name="premium"),
            enabled_for_deployment=True,
            network_acls=NetworkRuleSet(
                bypass="None", default_action="Deny", ip_rules=[IPRule(value="127.0.0.0/8"), IPRule(value="::1/128")]
            ),
        ),
    ),
)
full(changed, EVERYTHING)
assert changed.tags["changed"] == "yes" and changed.properties.sku.name == "premium", changed
assert changed.properties.network_acls.default_action == "Deny" and changed.properties.enabled_for_deployment, changed
assert changed.properties.soft_delete_retention_in_days == 7, "what was not said stays"
assert len(changed.properties.access_policies) == 1, changed
assert secrets.get_secret("db").value == "s3cret of till", "from here it may still be asked"

# The whole of a vault sent back, as scripts do, changes nothing.
again = owner.vaults.get("shop", "till")
same = VaultCreateOrUpdateParameters(location=again.location, tags=again.tags, properties=again.properties)
same = ended(owner.vaults.begin_create_or_update("shop", "till", same))
assert same.as_dict() == again.as_dict(), (same, again)

for number in range(5):
    ended(owner.vaults.begin_create_or_update("other", f"more-{number}", wanted("local", enable_rbac_authorization=True)))
more = [f"more-{number}" for number in range(5)]
assert names(owner.vaults.list_by_resource_group("other")) == more
assert names(owner.vaults.list_by_resource_group("shop")) == ["till"]
assert names(owner.vaults.list_by_subscription()) == [*more, "till"]
assert [len(page) for page in pages(owner.vaults.list_by_subscription(top=4))] == [4, 2]
assert pages(owner.vaults.list_by_resource_group("other", top=2)) == [more[:2], more[2:4], more[4:]]
for one in owner.vaults.list_by_subscription(top=1):
    full(one, EVERYTHING)


def check(name):
    asked = VaultCheckNameAvailabilityParameters(name=name, type="Microsoft.KeyVault/vaults")
    return owner.vaults.check_name_availability(asked)


assert check("till").name_available is False and check("till").reason == "AlreadyExists" and check("till").message
assert check("un_der").reason == "AccountNameInvalid" and check("free-one").name_available is True

# Deleted, its name is taken; recovered it is as before; purged it is gone, and the name is free.
assert list(owner.vaults.list_deleted()) == []
owner.vaults.delete("shop", "till")
owner.vaults.delete("shop", "till")
no_resource(owner.vaults.get, "shop", "till")
conflict("ConflictError", owner.vaults.begin_create_or_update, "shop", "till", wanted())
assert check("till").name_available is False
DELETED = "id name type properties.vault_id properties.location properties.deletion_date properties.scheduled_purge_date"
gone = full(owner.vaults.get_deleted("till", "westeurope"), DELETED)
assert gone.properties.vault_id == made.id and gone.type == "Microsoft.KeyVault/deletedVaults", gone
assert (gone.properties.scheduled_purge_date - gone.properties.deletion_date).days == 7, gone
assert [full(one, DELETED).name for one in owner.vaults.list_deleted()] == ["till"]
unauthorized(reader.vaults.begin_purge_deleted, "till", "westeurope")
refused(ResourceNotFoundError, 404, "DeletedVaultNotFound", owner.vaults.get_deleted, "till", "elsewhere")
back = ended(owner.vaults.begin_create_or_update("shop", "till", wanted(create_mode="recover")))
assert back.id == made.id and secrets.get_secret("db").value == "s3cret of till"
owner.vaults.delete("shop", "till")
assert ended(owner.vaults.begin_purge_deleted("till", "westeurope")) is None
refused(ResourceNotFoundError, 404, "DeletedVaultNotFound", owner.vaults.get_deleted, "till", "westeurope")
refused(ResourceNotFoundError, 404, "DeletedVaultNotFound", owner.vaults.begin_purge_deleted, "till", "westeurope")
assert check("till").name_available is True
protected = wanted(enable_purge_protection=True)
assert ended(owner.vaults.begin_create_or_update("shop", "kept", protected)).properties.enable_purge_protection is True
owner.vaults.delete("shop", "kept")
refused(HttpResponseError, 405, "MethodNotAllowed", owner.vaults.begin_purge_deleted, "kept", "westeurope")

# Who may not, what is not there, what cannot be.
ended(owner.vaults.begin_create_or_update("shop", "till", wanted()))
assert reader.vaults.get("shop", "till").name == "till"
unauthorized(reader.vaults.begin_create_or_update, "shop", "mine", wanted())
unauthorized(reader.vaults.update, "shop", "till", VaultPatchParameters(tags={}))
unauthorized(reader.vaults.update_access_policy, "shop", "till", "add", policies(allowed(reader, "get")))
unauthorized(reader.vaults.delete, "shop", "till")
for name in ("till", "nothing"):
    unauthorized(stranger.vaults.get, "shop", name)
    unauthorized(stranger.vaults.delete, "shop", name)
assert list(stranger.vaults.list_by_subscription()) == []
no_resource(owner.vaults.get, "shop", "nothing")
no_resource(owner.vaults.get, "other", "till")
no_resource(owner.vaults.update, "shop", "nothing", VaultPatchParameters(tags={}))
no_group(owner.vaults.get, "nowhere", "till")
no_group(owner.vaults.begin_create_or_update, "nowhere", "new", wanted())
bad("InvalidResourceName", owner.vaults.get, "shop", "un_der")
bad("InvalidResourceName", owner.vaults.begin_create_or_update, "shop", "x" * 25, wanted())
conflict("VaultAlreadyExists", owner.vaults.begin_create_or_update, "other", "till", wanted())
conflict("InvalidResourceLocation", owner.vaults.begin_create_or_update, "shop", "till", wanted("elsewhere"))
bad("BadRequest", owner.vaults.begin_create_or_update, "shop", "new", wanted(soft_delete_retention_in_days=91))
foreign = VaultCreateOrUpdateParameters(
    location="local", properties=VaultProperties(tenant_id=str(uuid.uuid4()), sku=Sku(family="A", name="standard"))
)
bad("BadRequest", owner.vaults.begin_create_or_update, "shop", "new", foreign)
unknown = AccessPolicyEntry(tenant_id=TENANT, object_id=owner.principal, permissions=Permissions(secrets=["fly"]))
bad("BadRequest", owner.vaults.update_access_policy, "shop", "till", "add", policies(unknown))
large = VaultPatchParameters(tags=too_large())
refused(HttpResponseError, 413, "RequestContentTooLarge", owner.vaults.update, "shop", "till", large)
print("done")
