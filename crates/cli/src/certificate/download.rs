//! `keyless certificate download`: the certificate alone, which is public, or with its key by way of its secret, which needs the
//! permission to read secrets.

use super::{get, of_version, pem};
use crate::{
    admin::Admin,
    collection::{Ask, Collection},
    failure::Failure,
    files,
    objects::text,
    output,
    vault::misuse,
};
use clap::{Args, ValueEnum};
use crypt::encoding;
use domain::{ObjectKind, ObjectName, ObjectVersion, Secret, VaultName};
use http::Method;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Pem,
    Der,
    Pfx,
}

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The vault
    vault: VaultName,
    /// The certificate
    name: ObjectName,
    /// The file, for its owner only; - is standard output
    file: PathBuf,
    /// pem, der (the certificate alone) or pfx (with its key, without a password)
    #[arg(long, value_enum, default_value = "pem", hide_possible_values = true, value_name = "FORM")]
    format: Form,
    /// With its private key and its chain
    #[arg(long)]
    with_key: bool,
    /// A version of it, if not the latest
    #[arg(long)]
    version: Option<ObjectVersion>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Deserialize)]
struct Told {
    value: Secret<String>,
    #[serde(rename = "contentType")]
    content_type: Option<String>,
}

const PFX: &str = "application/x-pkcs12";
const PEM: &str = "application/x-pem-file";

pub(super) async fn download(admin: &Admin, args: Download) -> Result<(), Failure> {
    match (args.format, args.with_key) {
        (Form::Der, true) => Err(misuse("DER holds a certificate alone: --format pem or pfx")),
        (Form::Pfx, false) => Err(misuse("a PFX file holds the key, too: say so by --with-key")),
        (_, true) => with_key(admin, &args).await,
        (form, false) => {
            let certificates = Collection::open(admin, ObjectKind::Certificate, &args.vault).await?;
            let found = get(&certificates, &args.name, args.version).await?;
            let Some(base64) = text(&found, "/cer") else {
                let (vault, name) = (&args.vault, &args.name);
                return Err(Failure::new(format!("{name} was asked for, and is not there")).next(format!(
                    "`keyless certificate pending {vault} {name}` says what has become of it."
                )));
            };
            if form == Form::Pem {
                let text = pem("CERTIFICATE", base64);
                // Nothing of it is secret: a terminal may show it.
                if files::is_standard(&args.file) {
                    output::value(&text);
                    return Ok(());
                }
                return files::write(&args.file, args.force, text.as_bytes());
            }
            let der = encoding::from_base64(base64)
                .map_err(|_| Failure::new("the vault's answer is not understood"))?;
            files::write(&args.file, args.force, &der)
        }
    }
}

async fn with_key(admin: &Admin, args: &Download) -> Result<(), Failure> {
    let secrets = Collection::open(admin, ObjectKind::Secret, &args.vault).await?;
    let wanted = if args.format == Form::Pfx { PFX } else { PEM };
    let told = secret(&secrets, args, "").await?;
    let told = match told.content_type.as_deref() {
        Some(kept) if kept == wanted => told,
        Some(PEM) if wanted == PFX => {
            let what = format!("{} is kept as PEM, and the vault makes no PFX of that", args.name);
            return Err(Failure::new(what).next("Take it as it is: --format pem"));
        }
        // Kept in the other form: the vault converts, and says so if it cannot.
        _ => secret(&secrets, args, &format!("&outContentType={wanted}")).await?,
    };
    let value = told.value;
    let bytes = match args.format {
        Form::Pfx => encoding::from_base64(value.expose())
            .map(Secret::new)
            .map_err(|_| Failure::new("the vault's answer is not understood"))?,
        _ => value.into_bytes(),
    };
    files::write(&args.file, args.force, bytes.expose())?;
    if !files::is_standard(&args.file) {
        output::note(format_args!(
            "{} holds the private key in clear, for its owner only.",
            args.file.display()
        ));
    }
    Ok(())
}

async fn secret(secrets: &Collection<'_>, args: &Download, query: &str) -> Result<Told, Failure> {
    let path = secrets.path(&args.name, &of_version(args.version));
    let ask = Ask { verb: "get", method: Method::GET, name: Some(&args.name), path, body: None };
    secrets.ask_with(ask, query).await
}
