//! `keyless certificate create | pending | merge`: from what is asked for to a certificate that is signed.

use super::{About, body_of, get, pem, read_json};
use crate::{
    admin::Admin,
    collection::{Ask, Collection},
    failure::Failure,
    files,
    objects::{self, text},
    output::{self, Format},
};
use clap::{Args, ValueEnum};
use crypt::encoding;
use domain::{ObjectKind, ObjectName, VaultName};
use http::Method;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long to wait for a certificate that the vault signs itself, and between two looks.
const LOOKS_MAX: u32 = 60;
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of a chain that is merged. Ours.
const CHAIN_BYTES_MAX: usize = 128 * 1024;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyType {
    Rsa,
    Ec,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// Whose it is, such as CN=shop.example [default: CN= and its name]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// A host name that it is for; may be given more than once
    #[arg(long, value_name = "NAME")]
    san_dns: Vec<String>,
    /// By whom it is signed: self, unknown (an authority outside, see `merge`), or an issuer of the vault by its name [default: self]
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// rsa or ec [default: rsa]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "TYPE")]
    key_type: Option<KeyType>,
    /// Months for which it is valid [default: 12]
    #[arg(long, value_name = "MONTHS")]
    months: Option<u32>,
    /// The whole policy from a JSON file, as the API has it; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["subject", "san_dns", "issuer", "key_type", "months"])]
    policy: Option<PathBuf>,
    #[command(flatten)]
    about: About,
}

#[derive(Debug, Args)]
pub(crate) struct Pending {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// Write the signing request (PEM) into a file; - is standard output
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    /// Ask for it no more
    #[arg(long, conflicts_with_all = ["delete", "csr"])]
    cancel: bool,
    /// Forget what was asked for, and the key that was made for it
    #[arg(long, conflicts_with = "csr")]
    delete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// What was signed: PEM, with its chain behind it if there is one, or DER; - is standard input
    file: PathBuf,
}

impl Create {
    fn policy(&self) -> Result<Value, Failure> {
        if let Some(path) = &self.policy {
            return read_json(path);
        }
        let issuer = match self.issuer.as_deref().unwrap_or("self") {
            text if text.eq_ignore_ascii_case("self") => "Self",
            text if text.eq_ignore_ascii_case("unknown") => "Unknown",
            other => other,
        };
        let subject = self.subject.clone().unwrap_or_else(|| format!("CN={}", self.name));
        let mut x509 = json!({"subject": subject});
        if let Some(x509) = x509.as_object_mut() {
            if !self.san_dns.is_empty() {
                x509.insert("sans".to_owned(), json!({"dns_names": self.san_dns}));
            }
            if let Some(months) = self.months {
                x509.insert("validity_months".to_owned(), months.into());
            }
        }
        let key = match self.key_type {
            Some(KeyType::Ec) => json!({"kty": "EC", "crv": "P-256"}),
            Some(KeyType::Rsa) => json!({"kty": "RSA"}),
            None => json!({}),
        };
        Ok(json!({"issuer": {"name": issuer}, "x509_props": x509, "key_props": key}))
    }
}

pub(super) async fn create(admin: &Admin, format: Format, args: Create) -> Result<(), Failure> {
    let mut body = json!({"policy": args.policy()?});
    let properties = serde_json::to_value(args.about.properties()?).unwrap_or_default();
    if let (Some(body), Value::Object(properties)) = (body.as_object_mut(), properties) {
        body.extend(properties);
    }
    let body = body_of(&body)?;
    let certificates = Collection::open(admin, ObjectKind::Certificate, &args.vault).await?;
    let (name, path) = (&args.name, certificates.path(&args.name, "/create"));
    let ask = Ask { verb: "create", method: Method::POST, name: Some(name), path, body };
    let mut operation: Value = certificates.ask(ask).await?;
    for _look in 0..LOOKS_MAX {
        let waits = text(&operation, "/issuer/name").is_some_and(|name| name.eq_ignore_ascii_case("Unknown"));
        match text(&operation, "/status") {
            Some("completed") => {
                objects::print_one(format, &get(&certificates, name, None).await?);
                return Ok(());
            }
            Some("inProgress") if waits => {
                print(format, &operation);
                output::note(format_args!(
                    "It waits to be signed by an authority outside:\n  \
                     keyless certificate pending {0} {name} --csr {name}.csr.pem\n  \
                     keyless certificate merge {0} {name} SIGNED.pem",
                    args.vault
                ));
                return Ok(());
            }
            Some("inProgress") => {
                tokio::time::sleep(LOOK_INTERVAL).await;
                operation = look(&certificates, name).await?;
            }
            _ => return Err(ended(&operation)),
        }
    }
    Err(Failure::new("the certificate is not signed yet")
        .next(format!("Look later: keyless certificate pending {} {name}", args.vault)))
}

/// Why there will be no certificate.
fn ended(operation: &Value) -> Failure {
    let why = text(operation, "/error/message").or_else(|| text(operation, "/status_details"));
    let status = text(operation, "/status").unwrap_or("unknown");
    Failure::new(format!(
        "there is no certificate: {status}{}",
        why.map(|why| format!(", {why}")).unwrap_or_default()
    ))
}

async fn look(certificates: &Collection<'_>, name: &ObjectName) -> Result<Value, Failure> {
    let path = certificates.path(name, "/pending");
    certificates.ask(Ask { verb: "get", method: Method::GET, name: Some(name), path, body: None }).await
}

pub(super) async fn pending(admin: &Admin, format: Format, args: Pending) -> Result<(), Failure> {
    let certificates = Collection::open(admin, ObjectKind::Certificate, &args.vault).await?;
    let (name, path) = (Some(&args.name), certificates.path(&args.name, "/pending"));
    let operation: Value = match (args.cancel, args.delete) {
        (true, _) => {
            let body = body_of(&json!({"cancellation_requested": true}))?;
            certificates.ask(Ask { verb: "update", method: Method::PATCH, name, path, body }).await?
        }
        (_, true) => {
            certificates.ask(Ask { verb: "update", method: Method::DELETE, name, path, body: None }).await?
        }
        _ => look(&certificates, &args.name).await?,
    };
    let Some(file) = &args.csr else {
        print(format, &operation);
        return Ok(());
    };
    let request = text(&operation, "/csr").ok_or_else(|| Failure::new("there is no signing request"))?;
    let request = pem("CERTIFICATE REQUEST", request);
    // Nothing of it is secret: a terminal may show it.
    if files::is_standard(file) {
        output::value(&request);
        return Ok(());
    }
    files::write(file, args.force, request.as_bytes())
}

fn print(format: Format, operation: &Value) {
    if format == Format::Json {
        return output::json(operation);
    }
    let mut facts = Vec::new();
    for (name, pointer) in [
        ("issuer", "/issuer/name"),
        ("status", "/status"),
        ("details", "/status_details"),
        ("error", "/error/message"),
    ] {
        facts.extend(text(operation, pointer).map(|text| (name, text.to_owned())));
    }
    output::facts(&facts);
}

pub(super) async fn merge(admin: &Admin, format: Format, args: Merge) -> Result<(), Failure> {
    let file = files::read(&args.file, CHAIN_BYTES_MAX, "a chain of certificates")?;
    let chain = chain(file.expose(), &args.file)?;
    let certificates = Collection::open(admin, ObjectKind::Certificate, &args.vault).await?;
    let path = certificates.path(&args.name, "/pending/merge");
    let body = body_of(&json!({"x5c": chain}))?;
    let ask = Ask { verb: "create", method: Method::POST, name: Some(&args.name), path, body };
    objects::print_one(format, &certificates.ask(ask).await?);
    Ok(())
}

/// The certificates of a file, as base64 of DER.
fn chain(file: &[u8], path: &Path) -> Result<Vec<String>, Failure> {
    // A certificate in DER is a SEQUENCE.
    if file.first() == Some(&0x30) {
        return Ok(vec![encoding::base64(file)]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|der| encoding::base64(der)).collect()),
        _ => Err(Failure::new(format!("{} holds no certificate, neither PEM nor DER", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_from_pem_and_der() {
        let path = Path::new("f");
        assert_eq!(chain(&[0x30, 0x00], path).unwrap(), ["MAA="]);
        let text = format!("# comment\n{}{}", pem("CERTIFICATE", "MAA="), pem("CERTIFICATE", "MAE="));
        assert_eq!(chain(text.as_bytes(), path).unwrap(), ["MAA=", "MAE="]);
        for bad in [&b""[..], b"junk", pem("PRIVATE KEY", "MAA=").as_bytes()] {
            assert!(chain(bad, path).is_err());
        }
    }
}
