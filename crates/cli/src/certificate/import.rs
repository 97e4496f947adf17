//! `keyless certificate import`: a certificate with its key from a PFX or PEM file. A password comes from a file or is asked for.

use super::About;
use crate::{
    admin::Admin,
    attributes::Properties,
    collection::{Ask, Collection},
    failure::Failure,
    files, objects,
    output::Format,
};
use clap::Args;
use crypt::encoding;
use domain::{ObjectKind, ObjectName, Secret, VaultName};
use http::Method;
use serde::Serialize;
use std::{io::IsTerminal, path::PathBuf};

/// Bytes of a file. Ours: what fits a request as base64.
const BYTES_MAX: usize = 96 * 1024;
/// What a PEM file has where its key needs a password (RFC 5958 section 3).
const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
/// Bytes of a password. Ours.
const PASSWORD_BYTES_MAX: usize = 4 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// The file: PFX (PKCS#12), or PEM with the key as PKCS#8; - is standard input
    file: PathBuf,
    /// The password of a PFX file or of an encrypted PEM key, in a file [default: asked for at a terminal, else none]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    about: About,
}

/// `CertificateImportParameters`. Written straight into the body.
#[derive(Serialize)]
struct Body<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pwd: Option<&'a str>,
    policy: Policy,
    #[serde(flatten)]
    properties: &'a Properties,
}

#[derive(Serialize)]
struct Policy {
    secret_props: SecretProperties,
}

#[derive(Serialize)]
struct SecretProperties {
    #[serde(rename = "contentType")]
    content_type: &'static str,
}

pub(super) async fn import(admin: &Admin, format: Format, args: Import) -> Result<(), Failure> {
    files::warn_if_readable_by_others(&args.file);
    let file = files::read(&args.file, BYTES_MAX, "a certificate with its key")?;
    let is_pem = file.expose().windows(10).any(|window| window == b"-----BEGIN");
    let is_locked = !is_pem || file.expose().windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED);
    let password = match &args.password_file {
        Some(path) => Some(password(&files::read(path, PASSWORD_BYTES_MAX, "a password")?)?),
        None if is_locked && std::io::stdin().is_terminal() => Some(Secret::new(rpassword::prompt_password(
            "Password of the file (not shown; empty is none): ",
        )?)),
        None if is_pem && is_locked => {
            return Err(Failure::new("the private key in the PEM file is encrypted")
                .next("Say what opens it: --password-file FILE"));
        }
        None => None,
    };
    let (value, content_type) = match is_pem {
        true => (
            Secret::new(
                std::str::from_utf8(file.expose())
                    .map_err(|_| Failure::new("the PEM file is no text"))?
                    .to_owned(),
            ),
            "application/x-pem-file",
        ),
        false => (Secret::new(encoding::base64(file.expose())), "application/x-pkcs12"),
    };
    let body = Body {
        value: value.expose(),
        pwd: password.as_ref().map(|password| password.expose().as_str()),
        policy: Policy { secret_props: SecretProperties { content_type } },
        properties: &args.about.properties()?,
    };
    let mut bytes = Vec::with_capacity(2 * BYTES_MAX + 64 * 1024);
    let written = serde_json::to_writer(&mut bytes, &body);
    let bytes = Secret::new(bytes);
    written.map_err(|error| Failure::new(error.to_string()))?;
    let certificates = Collection::open(admin, ObjectKind::Certificate, &args.vault).await?;
    let path = certificates.path(&args.name, "/import");
    let ask = Ask { verb: "import", method: Method::POST, name: Some(&args.name), path, body: Some(bytes) };
    objects::print_one(format, &certificates.ask(ask).await?);
    Ok(())
}

/// One line break at a file's end is the editor's.
fn password(bytes: &Secret<Vec<u8>>) -> Result<Secret<String>, Failure> {
    let bytes = bytes.expose();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map(|text| Secret::new(text.to_owned()))
        .map_err(|_| Failure::new("a password is text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_may_end_with_a_line_break() {
        for (file, text) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", "")] {
            assert_eq!(password(&Secret::new(file.as_bytes().to_vec())).unwrap().expose(), text);
        }
        assert!(password(&Secret::new(vec![0xff])).is_err());
    }
}
