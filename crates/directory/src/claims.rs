//! The claims of an access token, v1.0 and v2.0. Pure: everything that they say is passed in.
//!
//! Spec: Microsoft identity platform access token claims reference. `rh` and `aio` are opaque to everyone but their maker: left out.

use crate::{Audience, Hosting, TokenVersion, managed};
use access::{Principal, PrincipalKind};
use domain::{
    AttachmentId, ClientId, CredentialId, HostNames, PrincipalId, RefreshFamilyId, SessionId, SubscriptionId,
    TenantId, Timestamp,
};
use serde::Serialize;
use std::fmt;

/// How the client has proven itself, and by which credential of its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not at all: a public client has nothing to do it by.
    Public,
    /// By a client secret.
    Secret(CredentialId),
    /// By an assertion that one of its certificates signed.
    Certificate(CredentialId),
    /// By an assertion of an outside issuer.
    Federated {
        /// The credential.
        id: CredentialId,
        /// What tokens stand on: of one that was changed another than before.
        standing: CredentialId,
    },
    /// By the kernel's word: managed identities. The public cloud shows theirs as certificates.
    Attested,
    /// The administrator, who may use the admin socket.
    Socket,
}

impl Proof {
    /// The credential. What was got by it should be worth nothing once it is removed.
    pub const fn credential(self) -> Option<CredentialId> {
        match self {
            Self::Secret(id) | Self::Certificate(id) | Self::Federated { standing: id, .. } => Some(id),
            Self::Public | Self::Attested | Self::Socket => None,
        }
    }

    const fn acr(self) -> &'static str {
        match self {
            Self::Public | Self::Socket => "0",
            Self::Secret(_) => "1",
            Self::Certificate(_) | Self::Federated { .. } | Self::Attested => "2",
        }
    }
}

/// For the audit log.
impl fmt::Display for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => formatter.write_str("no credential"),
            Self::Secret(id) => write!(formatter, "client secret {id}"),
            Self::Certificate(id) => write!(formatter, "certificate {id}"),
            Self::Federated { id, .. } => write!(formatter, "federated credential {id}"),
            Self::Attested => formatter.write_str("the kernel's word"),
            Self::Socket => formatter.write_str("the admin socket"),
        }
    }
}

/// Everything that claims are made of.
pub(crate) struct Facts<'a> {
    pub(crate) principal: &'a Principal,
    /// Which client gets the token.
    pub(crate) client: ClientId,
    pub(crate) audience: &'a Audience,
    pub(crate) proof: Proof,
    pub(crate) names: &'a HostNames,
    /// In which subscription managed identities and apps are.
    pub(crate) subscription: SubscriptionId,
    pub(crate) issued: Timestamp,
    pub(crate) not_before: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) token: String,
    /// Does the client understand a challenge for more claims (`xms_cc`)?
    pub(crate) can_be_challenged: bool,
    /// Which app acts under a user-assigned identity.
    pub(crate) hosting: Option<&'a Hosting>,
    /// Which app roles it has at the resource.
    pub(crate) roles: Vec<String>,
    /// In whose name the client acts, if it does in a user's.
    pub(crate) user: Option<UserFacts>,
}

/// What is said of a user who has signed in.
pub(crate) struct UserFacts {
    /// The user as this client knows it.
    pub(crate) subject: String,
    pub(crate) user_name: String,
    /// What the client may do.
    pub(crate) scopes: String,
    pub(crate) session: SessionId,
    pub(crate) grant: RefreshFamilyId,
    pub(crate) methods: Vec<&'static str>,
}

/// Claims of either form, in the order of their names but for those that every token has.
#[derive(Debug, Serialize)]
pub(crate) struct Claims {
    aud: String,
    iss: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amr: Vec<&'static str>,
    /// v1.0, as are the others that have another name in v2.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appidacr: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azpacr: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idtyp: Option<&'static str>,
    /// Ours: what the token stands on, so that it falls with it (`access::Revocations`).
    #[serde(skip_serializing_if = "Option::is_none")]
    keyless_attachment: Option<AttachmentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyless_credential: Option<CredentialId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyless_grant: Option<RefreshFamilyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    oid: PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<SessionId>,
    sub: String,
    tid: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upn: Option<String>,
    uti: String,
    ver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_az_rid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_cc: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_mirid: Option<String>,
}

/// The claims of one token.
pub(crate) fn claims(facts: Facts<'_>) -> Claims {
    let Facts { principal, client, audience, proof, names, issued, not_before, expires, token, .. } = facts;
    let is_user = principal.kind == PrincipalKind::User;
    let is_v1 = audience.version == TokenVersion::V1;
    let acr = proof.acr();
    let (mut scp, mut sub, mut user_name) = (None, principal.id.to_string(), None);
    let (mut sid, mut keyless_grant, mut amr) = (None, None, Vec::new());
    if let Some(user) = facts.user {
        (scp, sub, user_name) = (Some(user.scopes), user.subject, Some(user.user_name));
        (sid, keyless_grant, amr) = (Some(user.session), Some(user.grant), user.methods);
    } else if is_user {
        // The administrator at the admin socket.
        (scp, user_name) = (Some("user_impersonation".to_owned()), Some(principal.display_name.clone()));
    }
    let keyless_credential = proof.credential().filter(|_| !is_user);
    Claims {
        aud: audience.claim.clone(),
        iss: if is_v1 { names.issuer_v1(principal.tenant) } else { names.issuer_v2(principal.tenant) },
        iat: issued,
        nbf: not_before,
        exp: expires,
        amr,
        appid: is_v1.then_some(client),
        appidacr: is_v1.then_some(acr),
        azp: (!is_v1).then_some(client),
        azpacr: (!is_v1).then_some(acr),
        idp: is_v1.then(|| names.issuer_v1(principal.tenant)),
        idtyp: (!is_user).then_some("app"),
        keyless_attachment: facts.hosting.map(|hosting| hosting.attachment),
        keyless_credential,
        keyless_grant,
        name: is_user.then(|| principal.display_name.clone()),
        oid: principal.id,
        preferred_username: user_name.clone().filter(|_| !is_v1),
        roles: facts.roles,
        scp,
        sid,
        sub,
        tid: principal.tenant,
        unique_name: user_name.clone().filter(|_| is_v1),
        upn: user_name.filter(|_| is_v1),
        uti: token,
        ver: if is_v1 { "1.0" } else { "2.0" },
        xms_az_rid: facts.hosting.map(|hosting| hosting.resource_id(facts.subscription)),
        xms_cc: facts.can_be_challenged.then_some(["CP1"]),
        xms_mirid: managed::resource_id(facts.subscription, principal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, names, registration, tenant};
    use domain::{AppId, AppName, ResourceGroupName};
    use serde_json::{Value, json};

    fn written(principal: &Principal, audience: &Audience, proof: Proof) -> Value {
        hosted(principal, audience, proof, None)
    }

    fn hosted(principal: &Principal, audience: &Audience, proof: Proof, hosting: Option<&Hosting>) -> Value {
        let token = "uti".to_owned();
        let expires = Timestamp::from_seconds(NOW.seconds() + 3600);
        let facts = Facts {
            principal,
            client: principal.client,
            audience,
            proof,
            names: &names(),
            subscription: tenant().subscription(),
            issued: NOW,
            not_before: NOW,
            expires,
            token,
            can_be_challenged: false,
            hosting,
            roles: Vec::new(),
            user: None,
        };
        serde_json::to_value(claims(facts)).unwrap()
    }

    const TENANT: &str = "aaaaaaaa-aaaa-4aaa-aaaa-aaaaaaaaaaaa";
    const SUBSCRIPTION: &str = "5b5b5b5b-5b5b-4b5b-9b5b-5b5b5b5b5b5b";
    const CLIENT: &str = "02020202-0202-4202-8202-020202020202";
    const PRINCIPAL: &str = "03030303-0303-4303-8303-030303030303";

    fn by_secret() -> Proof {
        Proof::Secret(CredentialId::from_uuid(tenant().id.uuid()))
    }

    #[test]
    fn a_v1_token_of_an_application() {
        let (_, principal) = registration(1);
        assert_eq!(
            written(&principal, &Audience::vaults(&names()), by_secret()),
            json!({
                "aud": "https://vault.keyless.localhost:8443",
                "iss": format!("https://login.keyless.localhost:8443/{TENANT}/"),
                "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_003_600,
                "appid": CLIENT, "appidacr": "1",
                "idp": format!("https://login.keyless.localhost:8443/{TENANT}/"),
                "idtyp": "app", "keyless_credential": TENANT, "oid": PRINCIPAL, "sub": PRINCIPAL, "tid": TENANT, "uti": "uti", "ver": "1.0",
            })
        );
    }

    #[test]
    fn a_v2_token_of_an_application() {
        let (_, principal) = registration(1);
        let audience = Audience {
            claim: "client".to_owned(),
            requested: "api://x".to_owned(),
            version: TokenVersion::V2,
            resource: crate::audience::Resource::Vaults,
        };
        assert_eq!(
            written(&principal, &audience, by_secret()),
            json!({
                "aud": "client", "iss": format!("https://login.keyless.localhost:8443/{TENANT}/v2.0"),
                "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_003_600,
                "azp": CLIENT, "azpacr": "1", "idtyp": "app", "keyless_credential": TENANT,
                "oid": PRINCIPAL, "sub": PRINCIPAL, "tid": TENANT, "uti": "uti", "ver": "2.0",
            })
        );
    }

    #[test]
    fn a_managed_identity_names_its_app_and_a_user_is_no_app() {
        let (_, mut principal) = registration(1);
        let audience = Audience::vaults(&names());
        principal.kind = PrincipalKind::ManagedIdentity { app: AppId::from_uuid(tenant().id.uuid()) };
        principal.display_name = "shop".to_owned();
        principal.resource_group = ResourceGroupName::parse("Web").unwrap();
        let claims = written(&principal, &audience, Proof::Attested);
        let resource =
            format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/Web/providers/Microsoft.Web/sites/shop");
        assert_eq!(
            (&claims["xms_mirid"], &claims["appidacr"], &claims["idtyp"]),
            (&json!(resource), &json!("2"), &json!("app"))
        );
        assert!(claims.get("scp").is_none());
        assert!(claims.get("xms_az_rid").is_none() && claims.get("keyless_attachment").is_none());
        principal.kind = PrincipalKind::User;
        let claims = written(&principal, &audience, Proof::Socket);
        assert_eq!(
            (&claims["scp"], &claims["appidacr"], &claims["unique_name"]),
            (&json!("user_impersonation"), &json!("0"), &json!("shop"))
        );
        assert!(claims.get("idtyp").is_none() && claims.get("xms_mirid").is_none());
    }

    #[test]
    fn a_user_assigned_identity_names_itself_and_the_app_that_acts() {
        let (_, mut principal) = registration(1);
        principal.kind = PrincipalKind::UserAssignedIdentity;
        principal.display_name = "Readers".to_owned();
        let attachment = AttachmentId::from_uuid(tenant().id.uuid());
        let group = ResourceGroupName::parse("Web").unwrap();
        let hosting = Hosting { app: AppName::parse("shop").unwrap(), group, attachment };
        let audience = Audience::vaults(&names());
        let claims = hosted(&principal, &audience, Proof::Attested, Some(&hosting));
        let groups = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups");
        assert_eq!(
            claims["xms_mirid"],
            format!("{groups}/keyless/providers/Microsoft.ManagedIdentity/userAssignedIdentities/Readers")
        );
        assert_eq!(claims["xms_az_rid"], format!("{groups}/Web/providers/Microsoft.Web/sites/shop"));
        assert_eq!(
            (&claims["keyless_attachment"], &claims["appidacr"], &claims["idtyp"]),
            (&json!(attachment), &json!("2"), &json!("app"))
        );
    }
}
