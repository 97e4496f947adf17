//! References to secrets in app settings: `@Microsoft.KeyVault(…)`.
//!
//! Owns: their syntax, and the words for how resolving one ended. Owns not: reading the secret (`server` asks the vault by the app's own
//! identity, as the app would). Spec: App Service, "Use Key Vault references as app settings", both forms.

use domain::{AppName, HostNames, HostRole, ObjectName, ObjectVersion, VaultName};

const OPENING: &str = "@Microsoft.KeyVault(";

/// Which secret is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The vault.
    pub vault: VaultName,
    /// The secret.
    pub secret: ObjectName,
    /// This version; without one the latest, whatever it is at the time.
    pub version: Option<ObjectVersion>,
}

/// How resolving a reference ended, in App Service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The program got the secret's value.
    Resolved,
    /// It is no reference that can be understood.
    InvalidSyntax,
    /// The app has no identity to ask with.
    MsiNotEnabled,
    /// There is no such vault.
    VaultNotFound,
    /// There is no such secret or version, or it is deleted.
    SecretNotFound,
    /// The secret is disabled, or not valid at this time.
    SecretDisabled,
    /// The app's identity may not get it.
    AccessToKeyVaultDenied,
    /// Something else: the log says what.
    OtherReasons,
}

impl Resolution {
    /// App Service's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resolved => "Resolved",
            Self::InvalidSyntax => "InvalidSyntax",
            Self::MsiNotEnabled => "MSINotEnabled",
            Self::VaultNotFound => "VaultNotFound",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretDisabled => "SecretDisabled",
            Self::AccessToKeyVaultDenied => "AccessToKeyVaultDenied",
            Self::OtherReasons => "OtherReasons",
        }
    }

    /// What to do about it, of a setting of this app that refers to this.
    pub fn advice(self, app: &AppName, of: Option<&Reference>) -> String {
        let vault = of.map_or("VAULT", |of| of.vault.as_str());
        let secret = of.map_or("NAME", |of| of.secret.as_str());
        match self {
            Self::Resolved => String::new(),
            Self::InvalidSyntax => {
                "write @Microsoft.KeyVault(VaultName=…;SecretName=…), or SecretUri= with the address of a secret in a vault of this server, as keyless secret show tells it".to_owned()
            }
            Self::MsiNotEnabled => format!("keyless app identity assign {app}"),
            Self::VaultNotFound => "keyless vault list says which there are".to_owned(),
            Self::SecretNotFound => format!("keyless secret list {vault} says which there are"),
            Self::SecretDisabled => {
                format!("keyless secret show {vault} {secret} says what keeps it from being read")
            }
            Self::AccessToKeyVaultDenied => format!(
                "keyless access explain --vault {vault} --secret {secret} says why, keyless vault policy set {vault} allows it"
            ),
            Self::OtherReasons => "the server's log says what".to_owned(),
        }
    }
}

/// What a setting's value is: nothing special, a reference, or one that cannot be understood.
///
/// # Errors
/// [`Resolution::InvalidSyntax`].
pub fn parse(value: &str, names: &HostNames) -> Result<Option<Reference>, Resolution> {
    let Some(inner) = value.trim().strip_prefix(OPENING) else { return Ok(None) };
    let inner = inner.strip_suffix(')').ok_or(Resolution::InvalidSyntax)?;
    let reference = match inner.strip_prefix("SecretUri=") {
        Some(uri) => of_uri(uri.trim(), names),
        None => of_parts(inner),
    };
    reference.map(Some).ok_or(Resolution::InvalidSyntax)
}

/// `https://{vault}.vault.{domain}[:port]/secrets/{name}[/{version}][/]`.
fn of_uri(uri: &str, names: &HostNames) -> Option<Reference> {
    let (host, path) = uri.strip_prefix("https://")?.split_once('/')?;
    let HostRole::Vault(vault) = names.role(host) else { return None };
    let mut parts = path.trim_end_matches('/').split('/');
    if parts.next()? != "secrets" {
        return None;
    }
    let secret = ObjectName::parse(parts.next()?).ok()?;
    let version = parts.next().map(str::parse).transpose().ok()?;
    parts.next().is_none().then_some(Reference { vault, secret, version })
}

/// `VaultName=…;SecretName=…[;SecretVersion=…]`, in any order, each once.
fn of_parts(inner: &str) -> Option<Reference> {
    let (mut vault, mut secret, mut version) = (None, None, None);
    for part in inner.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        let (place, value) = match name.trim() {
            "VaultName" => (&mut vault, value),
            "SecretName" => (&mut secret, value),
            "SecretVersion" => (&mut version, value),
            _ => return None,
        };
        if place.replace(value.trim()).is_some() {
            return None;
        }
    }
    Some(Reference {
        vault: VaultName::parse(vault?).ok()?,
        secret: ObjectName::parse(secret?).ok()?,
        version: version.filter(|version| !version.is_empty()).map(str::parse).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::DomainName;

    const VERSION: &str = "0123456789abcdef0123456789abcdef";

    fn parsed(text: &str) -> Result<Option<Reference>, Resolution> {
        parse(text, &HostNames::new(&DomainName::parse("keyless.localhost").unwrap(), 8443))
    }

    fn reference(version: Option<&str>) -> Reference {
        Reference {
            vault: VaultName::parse("shop").unwrap(),
            secret: ObjectName::parse("db").unwrap(),
            version: version.map(|version| version.parse().unwrap()),
        }
    }

    #[test]
    fn what_to_do_has_the_names_in_it() {
        let (app, of) = (AppName::parse("web").unwrap(), reference(None));
        for (resolution, told) in [
            (Resolution::MsiNotEnabled, "keyless app identity assign web"),
            (Resolution::SecretNotFound, "keyless secret list shop "),
            (Resolution::SecretDisabled, "keyless secret show shop db "),
            (Resolution::AccessToKeyVaultDenied, "keyless access explain --vault shop --secret db "),
        ] {
            let advice = resolution.advice(&app, Some(&of));
            assert!(advice.starts_with(told), "{advice}");
        }
        assert_eq!(Resolution::Resolved.advice(&app, Some(&of)), "");
    }

    #[test]
    fn both_forms_name_a_secret() {
        let host = "https://shop.vault.keyless.localhost:8443/secrets/db";
        for (text, version) in [
            (format!("@Microsoft.KeyVault(SecretUri={host})"), None),
            (format!("@Microsoft.KeyVault(SecretUri={host}/)"), None),
            (format!(" @Microsoft.KeyVault(SecretUri={host}/{VERSION}) "), Some(VERSION)),
            ("@Microsoft.KeyVault(VaultName=shop;SecretName=db)".to_owned(), None),
            ("@Microsoft.KeyVault(SecretName=db; VaultName=shop;)".to_owned(), None),
            ("@Microsoft.KeyVault(VaultName=shop;SecretName=db;SecretVersion=)".to_owned(), None),
            (
                format!("@Microsoft.KeyVault(VaultName=shop;SecretName=db;SecretVersion={VERSION})"),
                Some(VERSION),
            ),
        ] {
            assert_eq!(parsed(&text), Ok(Some(reference(version))), "{text}");
        }
    }

    #[test]
    fn a_value_that_only_speaks_of_one_is_a_value() {
        for text in [
            "",
            "value",
            "see @Microsoft.KeyVault(SecretUri=x)",
            "@microsoft.keyvault(x)",
            "@Microsoft.KeyVault",
        ] {
            assert_eq!(parsed(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_names_no_secret_of_ours_is_no_reference() {
        for inner in [
            "SecretUri=",
            "SecretUri=http://shop.vault.keyless.localhost:8443/secrets/db",
            "SecretUri=https://shop.vault.azure.net/secrets/db",
            "SecretUri=https://shop.vault.keyless.localhost:8443/keys/db",
            "SecretUri=https://shop.vault.keyless.localhost:8443/secrets/db/x",
            "SecretUri=https://shop.vault.keyless.localhost:8443/secrets/../keys/db",
            "SecretUri=https://login.keyless.localhost:8443/secrets/db",
            "VaultName=shop",
            "VaultName=shop;VaultName=shop;SecretName=db",
            "VaultName=shop;SecretName=d_b",
            "VaultName=shop;SecretName=db;Other=x",
            "VaultName=shop;SecretName=db;SecretVersion=1",
            "",
        ] {
            assert_eq!(
                parsed(&format!("@Microsoft.KeyVault({inner})")),
                Err(Resolution::InvalidSyntax),
                "{inner}"
            );
        }
        assert_eq!(
            parsed("@Microsoft.KeyVault(VaultName=shop;SecretName=db"),
            Err(Resolution::InvalidSyntax)
        );
    }
}
