"""azure-mgmt-authorization: roles, who has them where, and that a vault goes by it from one request to the next."""

from azure.mgmt.authorization.models import Permission, RoleAssignmentCreateParameters, RoleDefinition

owner, reader, stranger, app = Who("owner"), Who("reader"), Who("stranger"), Who("app")
owner.groups.create_or_update("shop", {"location": "local"})
GROUP = f"{SUBSCRIPTION_ID}/resourceGroups/shop"
sku = {"family": "A", "name": "standard"}
said = {"location": "local", "properties": {"tenantId": TENANT, "sku": sku, "enableRbacAuthorization": True}}
vault = ended(owner.vaults.begin_create_or_update("shop", "till", said))

OF_ROLE = "id name type role_name role_type permissions assignable_scopes"
roles = {one.role_name: full(one, OF_ROLE) for one in owner.definitions.list(SUBSCRIPTION_ID)}
assert {"Owner", "Contributor", "Reader", "Key Vault Secrets User", "Key Vault Secrets Officer"} <= set(roles), roles
assert all(one.role_type == "BuiltInRole" for one in roles.values())
(user,) = owner.definitions.list(SUBSCRIPTION_ID, filter="roleName eq 'Key Vault Secrets User'")
assert user.permissions[0].data_actions and user.id == roles["Key Vault Secrets User"].id, user
assert owner.definitions.get(SUBSCRIPTION_ID, user.name).role_name == "Key Vault Secrets User"
assert owner.definitions.get_by_id(user.id).role_name == "Key Vault Secrets User"
assert list(owner.definitions.list(SUBSCRIPTION_ID, filter="roleName eq 'Nobody'")) == []
assert list(owner.definitions.list(GROUP, filter="type eq 'CustomRole'")) == []


def given(role, who, kind="ServicePrincipal"):
    return RoleAssignmentCreateParameters(role_definition_id=role.id, principal_id=who.principal, principal_type=kind)


# Refused before, allowed after, refused after its removal: by a client that lives on with its one token.
officer, other = owner.secrets(vault), app.secrets(vault)


def is_refused():
    try:
        other.get_secret("db")
    except HttpResponseError as error:
        return error.status_code == 403 and "ForbiddenByRbac" in str(error)
    return False


OF_ASSIGNMENT = "id name type scope role_definition_id principal_id principal_type created_on updated_on"
mine = str(uuid.uuid4())
full(owner.assignments.create(vault.id, mine, given(roles["Key Vault Secrets Officer"], owner)), OF_ASSIGNMENT)
officer.set_secret("db", "s3cret of till")
officer.set_secret("else", "s3cret of others")
for scope in (f"{vault.id}/secrets/db", vault.id, GROUP, SUBSCRIPTION_ID):
    assert is_refused(), f"before, at {scope}"
    name = str(uuid.uuid4())
    made = full(owner.assignments.create(scope, name, given(user, app)), OF_ASSIGNMENT)
    assert (made.name, made.scope, made.principal_id) == (name, scope, app.principal), made
    assert made.id == f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", made
    assert made.role_definition_id == user.id and made.principal_type == "ServicePrincipal", made
    assert other.get_secret("db").value == "s3cret of till", scope
    if "secrets" in scope:
        try:
            other.get_secret("else")
            raise SystemExit("it was given for one secret")
        except HttpResponseError as error:
            assert error.status_code == 403, error
    assert owner.assignments.get(scope, name).id == made.id
    assert full(owner.assignments.get_by_id(made.id), OF_ASSIGNMENT).principal_id == app.principal
    again = owner.assignments.create(scope, name, given(user, app))
    assert again.as_dict() == made.as_dict(), "the same once more changes nothing"
    conflict("RoleAssignmentExists", owner.assignments.create, scope, str(uuid.uuid4()), given(user, app))
    removed = owner.assignments.delete(scope, name) if "secrets" in scope else owner.assignments.delete_by_id(made.id)
    assert removed.id == made.id, removed
    assert is_refused(), f"after, at {scope}"
    assert owner.assignments.delete(scope, name) is None, "it is gone already"
    refused(ResourceNotFoundError, 404, "RoleAssignmentNotFound", owner.assignments.get, scope, name)

# Lists: here, above, below, of whom; in pages.
placed = {}
for scope in (SUBSCRIPTION_ID, GROUP, vault.id):
    placed[scope] = owner.assignments.create(scope, str(uuid.uuid4()), given(user, app)).name
of_app = f"principalId eq '{app.principal}'"
assert names(owner.assignments.list_for_scope(GROUP, filter=of_app)) == sorted(placed.values()), "above, here, below"
above = owner.assignments.list_for_scope(GROUP, filter="atScope()")
assert {one.scope for one in above} == {SUBSCRIPTION_ID, GROUP}
counting = owner.assignments.list_for_scope(vault.id, filter=f"assignedTo('{app.principal}')")
assert names(counting) == sorted(placed.values())
below = owner.assignments.list_for_subscription(filter=f"assignedTo('{app.principal}')")
assert names(below) == sorted(placed.values()), "what is below counts, too"
assert names(owner.assignments.list_for_subscription(filter=of_app)) == sorted(placed.values())
assert names(owner.assignments.list_for_resource_group("shop", filter=of_app)) == sorted(placed.values())
at_vault = owner.assignments.list_for_resource("shop", "Microsoft.KeyVault", "vaults", "till", filter=of_app)
assert names(at_vault) == sorted(placed.values())
for one in owner.assignments.list_for_subscription():
    full(one, OF_ASSIGNMENT)

# A role of our own making.
custom = str(uuid.uuid4())
lister = RoleDefinition(
    role_name="Vault lister",
    description="Sees vaults",
    role_type="CustomRole",
    permissions=[Permission(actions=["Microsoft.KeyVault/vaults/read"], not_actions=[], data_actions=[])],
    assignable_scopes=[SUBSCRIPTION_ID],
)
unauthorized(stranger.vaults.get, "shop", "till")
made = full(owner.definitions.create_or_update(SUBSCRIPTION_ID, custom, lister), OF_ROLE + " description created_on")
assert (made.role_name, made.role_type, made.name) == ("Vault lister", "CustomRole", custom), made
assert made.permissions[0].actions == ["Microsoft.KeyVault/vaults/read"], made
sees = owner.assignments.create(GROUP, str(uuid.uuid4()), given(made, stranger))
assert stranger.vaults.get("shop", "till").name == "till"
unauthorized(stranger.vaults.delete, "shop", "till")
bad("RoleDefinitionHasAssignments", owner.definitions.delete, SUBSCRIPTION_ID, custom)
twin = str(uuid.uuid4())
conflict("RoleDefinitionWithSameNameExists", owner.definitions.create_or_update, SUBSCRIPTION_ID, twin, lister)
lister.permissions = [Permission(actions=["Microsoft.Resources/subscriptions/resourceGroups/read"])]
owner.definitions.create_or_update(SUBSCRIPTION_ID, custom, lister)
assert stranger.groups.get("shop").name == "shop"
unauthorized(stranger.vaults.get, "shop", "till")
owner.assignments.delete_by_id(sees.id)
unauthorized(stranger.groups.get, "shop")
assert names(owner.definitions.list(SUBSCRIPTION_ID, filter="type eq 'CustomRole'")) == [custom]
assert owner.definitions.delete(SUBSCRIPTION_ID, custom).name == custom
assert owner.definitions.delete(SUBSCRIPTION_ID, custom) is None
refused(ResourceNotFoundError, 404, "RoleDefinitionDoesNotExist", owner.definitions.get, SUBSCRIPTION_ID, custom)

# Who may not, what is not there, what cannot be.
new = str(uuid.uuid4())
assert names(reader.assignments.list_for_scope(GROUP, filter=of_app)) == sorted(placed.values())
unauthorized(reader.assignments.create, GROUP, new, given(roles["Owner"], reader))
unauthorized(reader.assignments.delete, GROUP, placed[GROUP])
unauthorized(reader.definitions.create_or_update, SUBSCRIPTION_ID, new, lister)
unauthorized(stranger.assignments.list_for_scope, GROUP)
unauthorized(stranger.assignments.create, GROUP, new, given(roles["Owner"], stranger))
bad("InvalidRoleAssignmentId", owner.assignments.create, GROUP, "no-guid", given(user, app))
bad("InvalidRoleDefinitionId", owner.definitions.get, SUBSCRIPTION_ID, "no-guid")
nobody = RoleAssignmentCreateParameters(role_definition_id=user.id, principal_id=str(uuid.uuid4()))
bad("PrincipalNotFound", owner.assignments.create, GROUP, new, nobody)
bad("UnmatchedPrincipalType", owner.assignments.create, GROUP, new, given(user, app, "User"))
unsaid = RoleAssignmentCreateParameters(role_definition_id=user.id, principal_id=app.principal)
assert unsaid.principal_type == "User", "the SDK says so by itself, and Azure refuses it like this"
bad("UnmatchedPrincipalType", owner.assignments.create, GROUP, new, unsaid)
unknown = RoleAssignmentCreateParameters(
    role_definition_id=user.id.replace(user.name, str(uuid.uuid4())), principal_id=app.principal
)
refused(ResourceNotFoundError, 404, "RoleDefinitionDoesNotExist", owner.assignments.create, GROUP, new, unknown)
on_condition = given(user, app)
on_condition.condition, on_condition.condition_version = "@Resource[x] StringEquals 'y'", "2.0"
bad("BadRequest", owner.assignments.create, GROUP, new, on_condition)
bad("RoleAssignmentUpdateNotPermitted", owner.assignments.create, GROUP, placed[GROUP], given(roles["Reader"], app))
no_group(owner.assignments.create, f"{SUBSCRIPTION_ID}/resourceGroups/nowhere", new, given(user, app))
no_resource(owner.assignments.create, f"{vault.id}x", new, given(user, app))
bad("InvalidFilterInQueryString", owner.assignments.list_for_scope, GROUP, filter="name eq 'x'")
bad("BadRequest", owner.definitions.create_or_update, SUBSCRIPTION_ID, user.name, lister)
lister.description = "x" * 600_000
refused(
    HttpResponseError, 413, "RequestContentTooLarge", owner.definitions.create_or_update, SUBSCRIPTION_ID, new, lister
)
print("done")
