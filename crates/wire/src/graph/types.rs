//! The shapes of Graph's objects: each has all of its properties, so that filters and selections find them; what is not had here is null or
//! empty, as it is there for who does not use it.

use crate::time::date;
use access::{Group, Principal, PrincipalKind};
use directory::{
    AppRole, Certificate, Credential, Deleted, FederatedCredential, Person, Registration, RoleAssignment,
    Tenant, TokenVersion, User,
    graph::{Builtin, PermissionGrant, builtin},
    managed,
    redirect::Platform,
    registration::{Consenter, ExposedScope},
};
use domain::{ClientId, PrincipalId, TenantId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// An object of Graph.
pub(super) type Object = Map<String, Value>;

fn object(value: Value) -> Object {
    match value {
        Value::Object(members) => members,
        _ => Object::new(),
    }
}

/// An application.
pub(super) fn application(registration: &Registration, domain: &str) -> Object {
    let at = |platform| -> Vec<&str> {
        let uris = registration.redirect_uris.iter().filter(|uri| uri.platform == platform);
        uris.map(|uri| &*uri.uri).collect()
    };
    object(json!({
        "id": registration.id,
        "deletedDateTime": null,
        "addIns": [],
        "api": {
            "acceptMappedClaims": null,
            "knownClientApplications": [],
            "oauth2PermissionScopes": scopes(registration),
            "preAuthorizedApplications": [],
            "requestedAccessTokenVersion": match registration.token_version {
                TokenVersion::V1 => 1,
                TokenVersion::V2 => 2,
            },
        },
        "appId": registration.client,
        "appRoles": registration.app_roles.iter().map(app_role).collect::<Vec<_>>(),
        "applicationTemplateId": null,
        "createdDateTime": date(registration.created),
        "description": null,
        "disabledByMicrosoftStatus": null,
        "displayName": registration.display_name,
        "groupMembershipClaims": null,
        "identifierUris": registration.identifier_uris,
        "info": info(),
        "isDeviceOnlyAuthSupported": null,
        "isFallbackPublicClient": registration.is_public,
        "keyCredentials": registration.certificates.iter().map(key_credential).collect::<Vec<_>>(),
        "notes": null,
        "optionalClaims": null,
        "passwordCredentials": registration.credentials.iter().map(|one| password_credential(one, None)).collect::<Vec<_>>(),
        "publicClient": {"redirectUris": at(Platform::PublicClient)},
        "publisherDomain": domain,
        "requiredResourceAccess": required_access(registration),
        "serviceManagementReference": null,
        "signInAudience": "AzureADMyOrg",
        "spa": {"redirectUris": at(Platform::Spa)},
        "tags": [],
        "tokenEncryptionKeyId": null,
        "verifiedPublisher": {"displayName": null, "verifiedPublisherId": null, "addedDateTime": null},
        "web": {
            "homePageUrl": null,
            "implicitGrantSettings": {"enableAccessTokenIssuance": false, "enableIdTokenIssuance": false},
            "logoutUrl": null,
            "redirectUris": at(Platform::Web),
        },
    }))
}

fn info() -> Value {
    json!({"logoUrl": null, "marketingUrl": null, "privacyStatementUrl": null, "supportUrl": null, "termsOfServiceUrl": null})
}

fn scopes(registration: &Registration) -> Vec<Value> {
    let scope = |known: &ExposedScope| {
        let ExposedScope { id, value, description, enabled, consenter } = known;
        permission(id.uuid(), value, description, *enabled, *consenter)
    };
    registration.scopes.iter().map(scope).collect()
}

fn permission(id: Uuid, value: &str, description: &str, enabled: bool, consenter: Consenter) -> Value {
    json!({
        "adminConsentDescription": description,
        "adminConsentDisplayName": description,
        "id": id,
        "isEnabled": enabled,
        "type": match consenter {
            Consenter::User => "User",
            Consenter::Admin => "Admin",
        },
        "userConsentDescription": description,
        "userConsentDisplayName": description,
        "value": value,
    })
}

fn app_role(role: &AppRole) -> Value {
    let kinds = [(role.for_users, "User"), (role.for_applications, "Application")];
    json!({
        "allowedMemberTypes": kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect::<Vec<_>>(),
        "description": role.description,
        "displayName": role.display_name,
        "id": role.id,
        "isEnabled": role.enabled,
        "origin": "Application",
        "value": role.value,
    })
}

fn required_access(registration: &Registration) -> Vec<Value> {
    let access = |id: &domain::CredentialId, kind: &str| json!({"id": id, "type": kind});
    let wanted = registration.required_access.iter().map(|wanted| {
        let scopes = wanted.scopes.iter().map(|id| access(id, "Scope"));
        let all: Vec<_> = scopes.chain(wanted.roles.iter().map(|id| access(id, "Role"))).collect();
        json!({"resourceAppId": wanted.resource, "resourceAccess": all})
    });
    wanted.collect()
}

/// A certificate. The certificate itself is not kept.
pub(super) fn key_credential(certificate: &Certificate) -> Value {
    json!({
        "customKeyIdentifier": certificate.sha1.to_ascii_uppercase(),
        "displayName": certificate.display_name,
        "endDateTime": date(certificate.end),
        "key": null,
        "keyId": certificate.id,
        "startDateTime": date(certificate.start),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    })
}

/// A client secret; the secret itself when it was just made.
pub(super) fn password_credential(credential: &Credential, secret: Option<&str>) -> Value {
    json!({
        "customKeyIdentifier": null,
        "displayName": credential.display_name,
        "endDateTime": date(credential.end),
        "hint": credential.hint,
        "keyId": credential.id,
        "secretText": secret,
        "startDateTime": date(credential.start),
    })
}

/// A federated credential.
pub(super) fn federated(credential: &FederatedCredential) -> Object {
    object(json!({
        "audiences": [credential.audience],
        "description": credential.description,
        "id": credential.id,
        "issuer": credential.issuer,
        "name": credential.name,
        "subject": credential.subject,
    }))
}

/// A service principal: of an application, or of a managed identity, which has no registration.
pub(super) fn service_principal(
    principal: &Principal,
    registration: Option<&Registration>,
    tenant: &Tenant,
) -> Object {
    let names = |registration: &Registration| {
        let mut names = vec![registration.client.to_string()];
        names.extend(registration.identifier_uris.iter().cloned());
        names
    };
    let mut shown = bare(principal.id, principal.client, &principal.display_name, tenant.id);
    let resource = managed::resource_id(tenant.subscription(), principal);
    let is_explicit = match principal.kind {
        PrincipalKind::UserAssignedIdentity => "isExplicit=True",
        _ => "isExplicit=False",
    };
    let own = object(json!({
        "accountEnabled": principal.enabled,
        "alternativeNames": resource.map(|id| vec![is_explicit.to_owned(), id]).unwrap_or_default(),
        "appRoleAssignmentRequired": registration.is_some_and(|known| known.assignment_required),
        "appRoles": registration.iter().flat_map(|known| &known.app_roles).map(app_role).collect::<Vec<_>>(),
        "createdDateTime": date(principal.created),
        "keyCredentials": registration.iter().flat_map(|known| &known.certificates).map(key_credential).collect::<Vec<_>>(),
        "oauth2PermissionScopes": registration.map(scopes).unwrap_or_default(),
        "passwordCredentials": registration.iter().flat_map(|known| &known.credentials)
            .map(|one| password_credential(one, None)).collect::<Vec<_>>(),
        "replyUrls": registration.iter().flat_map(|known| &known.redirect_uris).map(|uri| &*uri.uri).collect::<Vec<_>>(),
        "servicePrincipalNames": registration.map_or_else(|| vec![principal.client.to_string()], names),
        "servicePrincipalType": match principal.kind {
            PrincipalKind::ManagedIdentity { .. } | PrincipalKind::UserAssignedIdentity => "ManagedIdentity",
            PrincipalKind::Application { .. } | PrincipalKind::User => "Application",
        },
    }));
    shown.extend(own);
    shown
}

/// What every service principal has.
fn bare(id: PrincipalId, client: ClientId, name: &str, tenant: TenantId) -> Object {
    object(json!({
        "id": id,
        "deletedDateTime": null,
        "accountEnabled": true,
        "addIns": [],
        "alternativeNames": [],
        "appDescription": null,
        "appDisplayName": name,
        "appId": client,
        "appOwnerOrganizationId": tenant,
        "appRoleAssignmentRequired": false,
        "appRoles": [],
        "applicationTemplateId": null,
        "createdDateTime": null,
        "description": null,
        "disabledByMicrosoftStatus": null,
        "displayName": name,
        "homepage": null,
        "info": info(),
        "keyCredentials": [],
        "loginUrl": null,
        "logoutUrl": null,
        "notes": null,
        "notificationEmailAddresses": [],
        "oauth2PermissionScopes": [],
        "passwordCredentials": [],
        "preferredSingleSignOnMode": null,
        "replyUrls": [],
        "resourceSpecificApplicationPermissions": [],
        "servicePrincipalNames": [],
        "servicePrincipalType": "Application",
        "signInAudience": "AzureADMyOrg",
        "tags": [],
        "tokenEncryptionKeyId": null,
        "verifiedPublisher": {"displayName": null, "verifiedPublisherId": null, "addedDateTime": null},
    }))
}

/// A service principal that every tenant has.
pub(super) fn builtin_principal(one: Builtin, own_resource: &str, tenant: TenantId) -> Object {
    let public = match one {
        Builtin::Graph => directory::audience::GRAPH_RESOURCE,
        Builtin::Vaults => access::audience::KEY_VAULT_RESOURCE,
    };
    let mut shown = bare(one.object(tenant), one.client(), one.name(), tenant);
    let roles = match one {
        Builtin::Graph => builtin::graph_roles(),
        Builtin::Vaults => Vec::new(),
    };
    let scope = |(id, value): &(Uuid, &str)| permission(*id, value, value, true, one.consenter(value));
    let scopes: Vec<_> = one.scopes().iter().map(scope).collect();
    let mut names = vec![one.client().to_string(), public.to_owned(), own_resource.to_owned()];
    // By the public cloud's names these two are one.
    names.dedup();
    shown.extend(object(json!({
        "appRoles": roles.iter().map(app_role).collect::<Vec<_>>(),
        "oauth2PermissionScopes": scopes,
        "servicePrincipalNames": names,
    })));
    shown
}

/// A user. What only those see who administer users comes with `all`.
pub(super) fn user(Person { user, principal }: &Person, all: bool) -> Object {
    let mut shown = of_user(user, principal.enabled);
    if all {
        let set = user.password_set.map(date);
        shown.insert("lastPasswordChangeDateTime".to_owned(), json!(set));
        shown.insert("createdDateTime".to_owned(), json!(date(user.created)));
    }
    shown
}

fn of_user(user: &User, enabled: bool) -> Object {
    let name = user.user_name.as_str();
    object(json!({
        "id": user.id,
        "deletedDateTime": null,
        "accountEnabled": enabled,
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": null,
        "jobTitle": null,
        "mail": user.mail,
        "mailNickname": name.split('@').next(),
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
        "surname": null,
        "userPrincipalName": name,
        "userType": "Member",
    }))
}

/// A group.
pub(super) fn group(group: &Group) -> Object {
    object(json!({
        "id": group.id,
        "deletedDateTime": null,
        "classification": null,
        "createdDateTime": date(group.created),
        "creationOptions": [],
        "description": group.description,
        "displayName": group.display_name,
        "expirationDateTime": null,
        "groupTypes": [],
        "isAssignableToRole": null,
        "mail": null,
        "mailEnabled": false,
        "mailNickname": group.mail_nickname,
        "membershipRule": null,
        "proxyAddresses": [],
        "renewedDateTime": date(group.created),
        "securityEnabled": true,
        "theme": null,
        "visibility": null,
    }))
}

/// An object among others of other kinds: it says which it is.
pub(super) fn typed(kind: &str, mut object: Object) -> Object {
    object.insert("@odata.type".to_owned(), json!(format!("#microsoft.graph.{kind}")));
    object
}

/// A deleted thing as it was.
pub(super) fn deleted(deleted: &Deleted, registration: Option<&Registration>, domain: &str) -> Object {
    use directory::deleted::What;
    let (kind, mut shown) = match &deleted.what {
        What::Registration => {
            ("application", registration.map(|known| application(known, domain)).unwrap_or_default())
        }
        What::User(user) => ("user", of_user(user, false)),
        What::Group(of) => ("group", group(of)),
    };
    shown.insert("deletedDateTime".to_owned(), json!(date(deleted.at)));
    typed(kind, shown)
}

/// Who has which role where. Names are of those who are there.
pub(super) fn assignment(
    assignment: &RoleAssignment,
    resource: (PrincipalId, &str),
    subject: (&'static str, &str),
) -> Object {
    object(json!({
        "id": assignment.id,
        "deletedDateTime": null,
        "appRoleId": assignment.role,
        "createdDateTime": date(assignment.since),
        "principalDisplayName": subject.1,
        "principalId": assignment.subject,
        "principalType": subject.0,
        "resourceDisplayName": resource.1,
        "resourceId": resource.0,
    }))
}

/// A consent.
pub(super) fn grant(grant: &PermissionGrant, client: Uuid, resource: Uuid) -> Object {
    object(json!({
        "id": grant.id,
        "clientId": client,
        "consentType": if grant.user.is_some() { "Principal" } else { "AllPrincipals" },
        "principalId": grant.user,
        "resourceId": resource,
        "scope": grant.scopes.join(" "),
    }))
}
