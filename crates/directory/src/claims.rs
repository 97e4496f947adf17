//! The claims of an access token, v1.0 and v2.0. Pure: everything that they say is passed in.
//!
//! Spec: Microsoft identity platform access token claims reference. `rh` and `aio` are opaque to everyone but their maker: left out.

use crate::{Audience, TokenVersion};
use access::{Principal, PrincipalKind};
use domain::{ClientId, CredentialId, HostNames, PrincipalId, TenantId, Timestamp};
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
    Federated(CredentialId),
    /// By the kernel's word: managed identities. The public cloud shows theirs as certificates.
    Attested,
    /// The administrator, who may use the admin socket.
    Socket,
}

impl Proof {
    /// The credential. What was got by it should be worth nothing once it is removed.
    pub const fn credential(self) -> Option<CredentialId> {
        match self {
            Self::Secret(id) | Self::Certificate(id) | Self::Federated(id) => Some(id),
            Self::Public | Self::Attested | Self::Socket => None,
        }
    }

    const fn acr(self) -> &'static str {
        match self {
            Self::Public | Self::Socket => "0",
            Self::Secret(_) => "1",
            Self::Certificate(_) | Self::Federated(_) | Self::Attested => "2",
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
            Self::Federated(id) => write!(formatter, "federated credential {id}"),
            Self::Attested => formatter.write_str("the kernel's word"),
            Self::Socket => formatter.write_str("the admin socket"),
        }
    }
}

/// Everything that claims are made of.
pub(crate) struct Facts<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) audience: &'a Audience,
    pub(crate) proof: Proof,
    pub(crate) names: &'a HostNames,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) token: String,
}

/// Claims of either form, in the order in which the public cloud writes them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Claims {
    V1(Box<V1>),
    V2(Box<V2>),
}

#[derive(Debug, Serialize)]
pub(crate) struct V1 {
    aud: String,
    iss: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    appid: ClientId,
    appidacr: &'static str,
    idp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    idtyp: Option<&'static str>,
    oid: PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    scp: Option<&'static str>,
    sub: PrincipalId,
    tid: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_name: Option<String>,
    uti: String,
    ver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_mirid: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct V2 {
    aud: String,
    iss: String,
    iat: Timestamp,
    nbf: Timestamp,
    exp: Timestamp,
    azp: ClientId,
    azpacr: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    idtyp: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    oid: PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    scp: Option<&'static str>,
    sub: PrincipalId,
    tid: TenantId,
    uti: String,
    ver: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_mirid: Option<String>,
}

/// The claims of one token.
pub(crate) fn claims(facts: Facts<'_>) -> Claims {
    let Facts { principal, audience, proof, names, issued, expires, token } = facts;
    let is_user = principal.kind == PrincipalKind::User;
    let idtyp = (!is_user).then_some("app");
    let scp = is_user.then_some("user_impersonation");
    let name = is_user.then(|| principal.display_name.clone());
    let xms_mirid = resource_id(principal);
    match audience.version {
        TokenVersion::V1 => Claims::V1(Box::new(V1 {
            aud: audience.claim.clone(),
            iss: names.issuer_v1(principal.tenant),
            iat: issued,
            nbf: issued,
            exp: expires,
            appid: principal.client,
            appidacr: proof.acr(),
            idp: names.issuer_v1(principal.tenant),
            idtyp,
            oid: principal.id,
            scp,
            sub: principal.id,
            tid: principal.tenant,
            unique_name: name,
            uti: token,
            ver: "1.0",
            xms_mirid,
        })),
        TokenVersion::V2 => Claims::V2(Box::new(V2 {
            aud: audience.claim.clone(),
            iss: names.issuer_v2(principal.tenant),
            iat: issued,
            nbf: issued,
            exp: expires,
            azp: principal.client,
            azpacr: proof.acr(),
            idtyp,
            name,
            oid: principal.id,
            scp,
            sub: principal.id,
            tid: principal.tenant,
            uti: token,
            ver: "2.0",
            xms_mirid,
        })),
    }
}

/// The ARM id of the app that a managed identity belongs to. There is one subscription, the tenant, and one resource group.
fn resource_id(principal: &Principal) -> Option<String> {
    match principal.kind {
        PrincipalKind::ManagedIdentity { .. } => Some(format!(
            "/subscriptions/{}/resourcegroups/keyless/providers/Microsoft.Web/sites/{}",
            principal.tenant, principal.display_name
        )),
        PrincipalKind::Application { .. } | PrincipalKind::User => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NOW, names, registration, tenant};
    use domain::AppId;
    use serde_json::{Value, json};

    fn written(principal: &Principal, audience: &Audience, proof: Proof) -> Value {
        let token = "uti".to_owned();
        let expires = Timestamp::from_seconds(NOW.seconds() + 3600);
        let claims =
            claims(Facts { principal, audience, proof, names: &names(), issued: NOW, expires, token });
        serde_json::to_value(claims).unwrap()
    }

    const TENANT: &str = "aaaaaaaa-aaaa-4aaa-aaaa-aaaaaaaaaaaa";
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
                "idtyp": "app", "oid": PRINCIPAL, "sub": PRINCIPAL, "tid": TENANT, "uti": "uti", "ver": "1.0",
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
        };
        assert_eq!(
            written(&principal, &audience, by_secret()),
            json!({
                "aud": "client", "iss": format!("https://login.keyless.localhost:8443/{TENANT}/v2.0"),
                "iat": 1_800_000_000, "nbf": 1_800_000_000, "exp": 1_800_003_600,
                "azp": CLIENT, "azpacr": "1", "idtyp": "app",
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
        let claims = written(&principal, &audience, Proof::Attested);
        let resource =
            format!("/subscriptions/{TENANT}/resourcegroups/keyless/providers/Microsoft.Web/sites/shop");
        assert_eq!(
            (&claims["xms_mirid"], &claims["appidacr"], &claims["idtyp"]),
            (&json!(resource), &json!("2"), &json!("app"))
        );
        assert!(claims.get("scp").is_none());
        principal.kind = PrincipalKind::User;
        let claims = written(&principal, &audience, Proof::Socket);
        assert_eq!(
            (&claims["scp"], &claims["appidacr"], &claims["unique_name"]),
            (&json!("user_impersonation"), &json!("0"), &json!("shop"))
        );
        assert!(claims.get("idtyp").is_none() && claims.get("xms_mirid").is_none());
    }
}
