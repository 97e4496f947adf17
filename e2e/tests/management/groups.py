"""azure-mgmt-resource: groups, lists of resources, providers."""

owner, reader, stranger = Who("owner"), Who("reader"), Who("stranger")
TAGGED = {"location": "westeurope", "tags": {"team": "shop"}}

made = full(owner.groups.create_or_update("shop", TAGGED), "id name type location tags properties.provisioning_state")
assert (made.id, made.name, made.location) == (f"{SUBSCRIPTION_ID}/resourceGroups/shop", "shop", "westeurope"), made
assert made.type == "Microsoft.Resources/resourceGroups" and made.tags == {"team": "shop"}, made
assert made.properties.provisioning_state == "Succeeded", made
assert owner.groups.create_or_update("shop", TAGGED).tags == {"team": "shop"}, "again"
assert owner.groups.check_existence("shop") is True and owner.groups.check_existence("SHOP") is True
assert owner.groups.check_existence("nothing") is False
assert owner.groups.get("Shop").name == "shop"
assert owner.groups.update("shop", {"tags": {"team": "till", "cost": "7"}}).tags == {"team": "till", "cost": "7"}
assert owner.groups.get("shop").tags["cost"] == "7" and owner.groups.get("shop").location == "westeurope"
owner.groups.create_or_update("other", {"location": "local"})
assert {"shop", "other"} <= set(names(owner.groups.list()))
assert names(owner.groups.list(filter="tagName eq 'TEAM' and tagValue eq 'till'")) == ["shop"]
assert names(owner.groups.list(filter="tagName eq 'cost'")) == ["shop"]
assert names(owner.groups.list(filter="tagName eq 'team' and tagValue eq 'shop'")) == [], "it is another's by now"
bad("InvalidFilterInQueryString", owner.groups.list, filter="name eq 'shop'")

# Pages: as many as the caller wants on one, and all of them in the end.
for name in ("a1", "a2", "a3"):
    owner.groups.create_or_update(name, {"location": "local"})
whole = names(owner.groups.list())
paged = pages(owner.groups.list(top=2))
assert [len(page) for page in paged] == [2] * (len(whole) // 2) + [1] * (len(whole) % 2), paged
assert sorted(sum(paged, [])) == whole, (paged, whole)

for kind in ("vaults", "identities"):
    for name in ("one", "two", "three"):
        if kind == "vaults":
            sku = {"family": "A", "name": "standard"}
            said = {"location": "local", "properties": {"tenantId": TENANT, "sku": sku}}
            ended(owner.vaults.begin_create_or_update("shop", f"v-{name}", said))
        else:
            owner.identities.create_or_update("shop", f"i-{name}", {"location": "local", "tags": {"of": name}})
listed = list(owner.resources.resources.list())
assert len(listed) == 7, f"three, three, and the app that this runs as: {listed}"
for one in listed:
    full(one, "id name type location")
of_vaults = "resourceType eq 'Microsoft.KeyVault/vaults'"
assert names(owner.resources.resources.list(filter=of_vaults)) == ["v-one", "v-three", "v-two"]
assert names(owner.resources.resources.list(filter=of_vaults + " and name eq 'v-two'")) == ["v-two"]
assert names(owner.resources.resources.list_by_resource_group("other")) == []
tagged = owner.resources.resources.list(filter="tagName eq 'of' and tagValue eq 'two'")
assert names(tagged) == ["i-two"]
assert len(list(owner.resources.resources.list(filter=""))) == 7, "as `az resource list` asks"
bad("InvalidFilterInQueryString", owner.resources.resources.list, filter="sku eq 'x'")
assert [len(page) for page in pages(owner.resources.resources.list(top=4))] == [4, 3]
in_group = owner.resources.resources.list_by_resource_group("shop", filter=of_vaults, top=2)
assert [len(page) for page in pages(in_group)] == [2, 1], "the filter goes along to the next page"
assert names(owner.vaults.list()) == ["v-one", "v-three", "v-two"], "azure-mgmt-keyvault asks for resources, too"

vault = f"{made.id}/providers/Microsoft.KeyVault/vaults/v-one"
resources, version = owner.resources.resources, {"api_version": "2024-11-01"}
assert full(resources.get_by_id(vault, **version), "id name type location properties").id == vault
assert resources.get("shop", "Microsoft.KeyVault", "", "vaults", "v-one", **version).name == "v-one"
assert resources.check_existence_by_id(vault, **version) is True
assert resources.check_existence_by_id(f"{vault}x", **version) is False
ended(resources.begin_delete_by_id(vault, **version))
assert resources.check_existence("shop", "Microsoft.KeyVault", "", "vaults", "v-one", **version) is False

providers = {one.namespace: one for one in owner.resources.providers.list()}
assert set(providers) == {
    "Microsoft.Authorization",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Resources",
    "Microsoft.Web",
}, providers
web = full(owner.resources.providers.get("microsoft.web"), "id namespace registration_state resource_types")
assert web.registration_state == "Registered" and "sites" in [one.resource_type for one in web.resource_types], web
assert all(one.api_versions and one.locations for one in web.resource_types), web
assert owner.resources.providers.register("Microsoft.Web").registration_state == "Registered"
refused(ResourceNotFoundError, 404, "InvalidResourceNamespace", owner.resources.providers.get, "Microsoft.Sql")

# Deleted with all that is in it; a long-running operation that has ended when it is answered.
assert ended(owner.groups.begin_delete("shop")) is None
assert owner.groups.check_existence("shop") is False and list(owner.identities.list_by_subscription()) == []
no_group(owner.groups.begin_delete, "shop")

# Who may not, what is not there, what cannot be.
assert reader.groups.get("other").name == "other"
unauthorized(reader.groups.create_or_update, "mine", {"location": "local"})
unauthorized(reader.groups.update, "other", {"tags": {}})
unauthorized(reader.groups.begin_delete, "other")
for call in (stranger.groups.get, stranger.groups.check_existence, stranger.groups.begin_delete):
    for name in ("other", "nothing"):
        error = None
        try:
            call(name)
        except HttpResponseError as found:
            error = found
        assert error is not None and error.status_code == 403, "nothing is told of what is there"
assert list(stranger.groups.list()) == []
unauthorized(stranger.resources.resources.list)
unauthorized(stranger.resources.providers.list)
no_group(owner.groups.get, "nothing")
no_group(owner.groups.update, "nothing", {"tags": {}})
bad("InvalidResourceName", owner.groups.get, "ends.")
bad("InvalidResourceName", owner.groups.create_or_update, "x" * 91, {"location": "local"})
bad("LocationRequired", owner.groups.create_or_update, "new", {"tags": {}})
bad("InvalidRequestContent", owner.groups.create_or_update, "new", {"location": 7})
bad("InvalidRequestContent", owner.groups.update, "other", {"tags": {str(tag): "x" for tag in range(60)}})
bad("InvalidFilterInQueryString", owner.resources.resources.list, filter="name ne 'x'")
bad("BadRequest", owner.groups.list, top=0)
conflict("InvalidResourceGroupLocation", owner.groups.create_or_update, "other", {"location": "elsewhere"})
refused(HttpResponseError, 413, "RequestContentTooLarge", owner.groups.update, "other", {"tags": too_large()})

# A token for something else, and a subscription that is not here.
elsewhere = Who("owner", credential_scopes=["https://vault.azure.net/.default"])
refused(ClientAuthenticationError, 401, "InvalidAuthenticationTokenAudience", elsewhere.groups.get, "other")
nowhere = ResourceManagementClient(owner.credential, str(uuid.uuid4()), **AT)
refused(ResourceNotFoundError, 404, "SubscriptionNotFound", nowhere.resource_groups.get, "other")
print("done")
