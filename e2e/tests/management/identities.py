"""azure-mgmt-msi: user-assigned identities, and the outside issuers that vouch for them."""

from azure.mgmt.msi.models import FederatedIdentityCredential, Identity, IdentityUpdate

owner, reader, stranger = Who("owner"), Who("reader"), Who("stranger")
for group in ("shop", "other"):
    owner.groups.create_or_update(group, {"location": "westeurope"})

EVERYTHING = "id name type location tags tenant_id principal_id client_id"
made = owner.identities.create_or_update("shop", "till", Identity(location="westeurope", tags={"of": "sdk"}))
full(made, EVERYTHING)
assert made.id.lower() == (
    f"{SUBSCRIPTION_ID}/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/till".lower()
), made
assert made.type == "Microsoft.ManagedIdentity/userAssignedIdentities" and made.tenant_id == TENANT, made
again = owner.identities.create_or_update("shop", "till", Identity(location="westeurope", tags={"of": "sdk"}))
assert again.as_dict() == made.as_dict(), "the same identity, not another"
assert full(owner.identities.get("shop", "till"), EVERYTHING).principal_id == made.principal_id
changed = owner.identities.update("shop", "till", IdentityUpdate(tags={"of": "us"}))
assert changed.tags == {"of": "us"} and changed.client_id == made.client_id, changed
for number in range(3):
    owner.identities.create_or_update("other", f"more-{number}", Identity(location="local"))
assert names(owner.identities.list_by_resource_group("shop")) == ["till"]
assert names(owner.identities.list_by_subscription()) == ["more-0", "more-1", "more-2", "till"]
for one in owner.identities.list_by_subscription():
    full(one, EVERYTHING)


def trusted(subject, issuer="https://token.actions.githubusercontent.com", audiences=("api://AzureADTokenExchange",)):
    return FederatedIdentityCredential(issuer=issuer, subject=subject, audiences=list(audiences))


OF_CREDENTIAL = "id name type issuer subject audiences"
first = owner.federated.create_or_update("shop", "till", "main", trusted("repo:shop/till:ref:refs/heads/main"))
full(first, OF_CREDENTIAL)
assert first.id == f"{made.id}/federatedIdentityCredentials/main" and first.name == "main", first
assert first.audiences == ["api://AzureADTokenExchange"], first
owner.federated.create_or_update("shop", "till", "main", trusted("repo:shop/till:ref:refs/heads/next"))
assert owner.federated.get("shop", "till", "main").subject.endswith("next"), "replaced"
for number in range(4):
    owner.federated.create_or_update("shop", "till", f"env-{number}", trusted(f"repo:shop/till:environment:{number}"))
everything = ["env-0", "env-1", "env-2", "env-3", "main"]
assert names(owner.federated.list("shop", "till")) == everything
paged = pages(owner.federated.list("shop", "till", top=2))
assert paged == [everything[:2], everything[2:4], everything[4:]], paged
for one in owner.federated.list("shop", "till", top=3):
    full(one, OF_CREDENTIAL)
conflict("Conflict", owner.federated.create_or_update, "shop", "till", "twin", trusted("repo:shop/till:environment:1"))
assert owner.federated.delete("shop", "till", "main") is None and owner.federated.delete("shop", "till", "main") is None
no_resource(owner.federated.get, "shop", "till", "main")

# Who may not, what is not there, what cannot be.
assert reader.identities.get("shop", "till").name == "till" and reader.federated.get("shop", "till", "env-1").name == "env-1"
unauthorized(reader.identities.create_or_update, "shop", "mine", Identity(location="local"))
unauthorized(reader.identities.update, "shop", "till", IdentityUpdate(tags={}))
unauthorized(reader.identities.delete, "shop", "till")
unauthorized(reader.federated.create_or_update, "shop", "till", "mine", trusted("repo:mine"))
unauthorized(reader.federated.delete, "shop", "till", "env-1")
for name in ("till", "nothing"):
    unauthorized(stranger.identities.get, "shop", name)
    unauthorized(stranger.identities.delete, "shop", name)
    unauthorized(stranger.federated.list, "shop", name)
assert list(stranger.identities.list_by_subscription()) == []
no_resource(owner.identities.get, "shop", "nothing")
no_resource(owner.identities.get, "other", "till")
no_resource(owner.identities.update, "shop", "nothing", IdentityUpdate(tags={}))
no_resource(owner.federated.get, "shop", "nothing", "main")
no_resource(owner.federated.create_or_update, "shop", "nothing", "main", trusted("repo:x"))
no_group(owner.identities.create_or_update, "nowhere", "new", Identity(location="local"))
bad("InvalidResourceName", owner.identities.get, "shop", "x" * 129)
bad("InvalidResourceName", owner.federated.get, "shop", "till", "a.b")
bad("BadRequest", owner.federated.create_or_update, "shop", "till", "new", trusted("repo:x", issuer="http://plain.example"))
for audiences in (("a", "b"), ()):
    wanted = trusted("repo:x", audiences=audiences)
    bad("InvalidRequestContent", owner.federated.create_or_update, "shop", "till", "new", wanted)
conflict("Conflict", owner.identities.create_or_update, "other", "till", Identity(location="local"))
conflict("InvalidResourceLocation", owner.identities.create_or_update, "shop", "till", Identity(location="elsewhere"))
large = IdentityUpdate(tags=too_large())
refused(HttpResponseError, 413, "RequestContentTooLarge", owner.identities.update, "shop", "till", large)

assert owner.identities.delete("shop", "till") is None and owner.identities.delete("shop", "till") is None
no_resource(owner.identities.get, "shop", "till")
no_resource(owner.federated.list, "shop", "till")
print("done")
