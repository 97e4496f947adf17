//! `keyless key sign | verify | encrypt | decrypt | wrap | unwrap`: what a key of a vault is for.
//!
//! A signature is of a digest: it is made here, of a file of any size, and only it is sent. What is encrypted or wrapped is one block.

use super::Version;
use crate::{
    admin::Admin,
    collection::{Ask, Collection},
    failure::Failure,
    files,
    output::{self, Colour, Format, paint},
    vault::misuse,
};
use clap::{Args, Subcommand};
use crypt::{
    MessageDigest,
    encoding::{base64url, from_base64url},
    keys::{EncryptionAlgorithm, SignatureAlgorithm},
};
use domain::{ObjectKind, Secret, limits};
use http::Method;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes that are sent in one operation: what fits a request, encoded.
const VALUE_BYTES_MAX: usize = limits::REQUEST_BODY_BYTES_MAX / 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sign a file or standard input; its digest is made here
    Sign(Sign),
    /// Say whether a signature is that of a file or standard input
    Verify(Verify),
    /// Encrypt a file or standard input
    Encrypt(Seal),
    /// Decrypt a file or standard input
    Decrypt(Open),
    /// Encrypt a key by this one
    Wrap(Seal),
    /// Decrypt a key by this one
    Unwrap(Open),
}

#[derive(Debug, Args)]
struct Signed {
    #[command(flatten)]
    of: Version,
    /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES256K, ES384, ES512, HS256, HS384 or HS512
    #[arg(long, value_name = "NAME", value_parser = signature_algorithm)]
    algorithm: SignatureAlgorithm,
    /// What is signed, instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// It is the digest already, in bytes
    #[arg(long)]
    digest: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    signed: Signed,
    /// The signature, in bytes
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// The signature is base64url, as `sign` prints it
    #[arg(long)]
    encoded: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    of: Version,
    /// RSA-OAEP-256, RSA-OAEP, RSA1_5, A128GCM, A256GCM, A256CBCPAD, A256KW and the like
    #[arg(long, value_name = "NAME", value_parser = encryption_algorithm)]
    algorithm: EncryptionAlgorithm,
    /// What is encrypted, instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Data that is authenticated and not encrypted, in base64url (GCM)
    #[arg(long, value_name = "BASE64URL", value_parser = encoded, allow_hyphen_values = true)]
    aad: Option<String>,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    #[command(flatten)]
    of: Version,
    /// The algorithm that it was encrypted by
    #[arg(long, value_name = "NAME", value_parser = encryption_algorithm)]
    algorithm: EncryptionAlgorithm,
    /// What is decrypted, instead of standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// It is base64url, as `encrypt` and `wrap` print it
    #[arg(long)]
    encoded: bool,
    /// The initialization vector, in base64url (GCM, CBC)
    #[arg(long, value_name = "BASE64URL", value_parser = encoded, allow_hyphen_values = true)]
    iv: Option<String>,
    /// The authentication tag, in base64url (GCM)
    #[arg(long, value_name = "BASE64URL", value_parser = encoded, allow_hyphen_values = true)]
    tag: Option<String>,
    /// Data that was authenticated and not encrypted, in base64url (GCM)
    #[arg(long, value_name = "BASE64URL", value_parser = encoded, allow_hyphen_values = true)]
    aad: Option<String>,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Args)]
struct Out {
    /// Write the bytes to a file, instead of base64url to standard output; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// `KeySignParameters`, `KeyVerifyParameters`, `KeyOperationsParameters`.
#[derive(Serialize)]
struct Body<'a> {
    alg: &'static str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aad: Option<&'a str>,
}

impl Body<'_> {
    fn bytes(&self) -> Result<Option<Secret<Vec<u8>>>, Failure> {
        let mut body = Vec::with_capacity(self.value.len() + 4 * 1024);
        let written = serde_json::to_writer(&mut body, self);
        let body = Secret::new(body);
        written.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Some(body))
    }
}

/// `KeyOperationResult`; the value may be a secret.
#[derive(Deserialize)]
struct Done {
    kid: String,
    value: Secret<String>,
    iv: Option<String>,
    tag: Option<String>,
    aad: Option<String>,
}

/// As it is printed.
#[derive(Serialize)]
struct Shown<'a> {
    kid: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aad: Option<&'a str>,
}

#[derive(Deserialize)]
struct Verified {
    value: bool,
}

fn signature_algorithm(text: &str) -> Result<SignatureAlgorithm, String> {
    SignatureAlgorithm::parse(text).map_err(|_| "no algorithm that signs".to_owned())
}

fn encryption_algorithm(text: &str) -> Result<EncryptionAlgorithm, String> {
    EncryptionAlgorithm::parse(text).map_err(|_| "no algorithm that encrypts or wraps".to_owned())
}

fn encoded(text: &str) -> Result<String, String> {
    from_base64url(text).map(|_| text.to_owned()).map_err(|_| "no base64url without padding".to_owned())
}

pub(super) async fn operate(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    match command {
        Command::Sign(Sign { signed, out }) => {
            let value = base64url(&signed.digest()?);
            let body = Body { value: &value, ..Body::of(signed.algorithm.name()) };
            let done = ask(admin, &signed.of, "sign", "sign", &body).await?;
            out.write(format, &done)
        }
        Command::Verify(Verify { signed, signature, encoded }) => {
            let signature = base64url(read(Some(&signature), encoded)?.expose());
            let digest = base64url(&signed.digest()?);
            let body = Body { value: &signature, digest: Some(&digest), ..Body::of(signed.algorithm.name()) };
            let Verified { value } = ask(admin, &signed.of, "verify", "verify", &body).await?;
            match format {
                Format::Json => output::json(&serde_json::json!({"value": value})),
                Format::Table if value => output::line(paint(Colour::Good, "valid")),
                Format::Table => {}
            }
            if value { Ok(()) } else { Err(Failure::new("the signature is not valid")) }
        }
        Command::Encrypt(seal) => seal.send(admin, format, "encrypt", "encrypt").await,
        Command::Wrap(seal) => seal.send(admin, format, "wrapkey", "wrapkey").await,
        Command::Decrypt(open) => open.send(admin, format, "decrypt", "decrypt").await,
        Command::Unwrap(open) => open.send(admin, format, "unwrapkey", "unwrapkey").await,
    }
}

async fn ask<T: serde::de::DeserializeOwned>(
    admin: &Admin,
    of: &Version,
    verb: &'static str,
    operation: &str,
    body: &Body<'_>,
) -> Result<T, Failure> {
    let body = body.bytes()?;
    let keys = Collection::open(admin, ObjectKind::Key, &of.vault).await?;
    let path = of.path(&keys, &format!("/{operation}"));
    keys.ask(Ask { verb, method: Method::POST, name: Some(&of.name), path, body }).await
}

impl Body<'_> {
    const fn of(alg: &'static str) -> Self {
        Self { alg, value: "", digest: None, iv: None, tag: None, aad: None }
    }
}

impl Seal {
    async fn send(
        self,
        admin: &Admin,
        format: Format,
        verb: &'static str,
        operation: &str,
    ) -> Result<(), Failure> {
        let value = Secret::new(base64url(read(self.file.as_deref(), false)?.expose()));
        let body =
            Body { value: value.expose(), aad: self.aad.as_deref(), ..Body::of(self.algorithm.name()) };
        let done = ask(admin, &self.of, verb, operation, &body).await?;
        self.out.write(format, &done)
    }
}

impl Open {
    async fn send(
        self,
        admin: &Admin,
        format: Format,
        verb: &'static str,
        operation: &str,
    ) -> Result<(), Failure> {
        let value = base64url(read(self.file.as_deref(), self.encoded)?.expose());
        let (iv, tag, aad) = (self.iv.as_deref(), self.tag.as_deref(), self.aad.as_deref());
        let body = Body { value: &value, iv, tag, aad, ..Body::of(self.algorithm.name()) };
        let done = ask(admin, &self.of, verb, operation, &body).await?;
        self.out.write(format, &done)
    }
}

impl Signed {
    /// The digest of what is signed, read in pieces.
    fn digest(&self) -> Result<Vec<u8>, Failure> {
        let bytes = self.algorithm.digest_bytes();
        if self.digest {
            let digest = read(self.file.as_deref(), false)?;
            if bytes.is_some_and(|bytes| bytes != digest.expose().len()) {
                return Err(misuse(format!(
                    "{} takes a digest of {} bytes, this has {}",
                    self.algorithm.name(),
                    bytes.unwrap_or_default(),
                    digest.expose().len()
                )));
            }
            return Ok(digest.expose().clone());
        }
        let Some(digest) = bytes.and_then(MessageDigest::of_bytes) else {
            return Err(misuse(format!("{} takes what is made already: --digest", self.algorithm.name())));
        };
        match self.file.as_deref().filter(|path| !files::is_standard(path)) {
            Some(path) => digest_of(digest, File::open(path).map_err(|error| unreadable(path, &error))?),
            None => digest_of(digest, io::stdin().lock()),
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

fn digest_of(mut digest: MessageDigest, mut source: impl Read) -> Result<Vec<u8>, Failure> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = match source.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return Ok(digest.finish());
        }
        digest.update(piece.get(..count).unwrap_or_default());
    }
}

/// What is sent, in bytes.
fn read(path: Option<&Path>, is_encoded: bool) -> Result<Secret<Vec<u8>>, Failure> {
    let bytes = files::read(path.unwrap_or(Path::new("-")), VALUE_BYTES_MAX, "what a key works on")?;
    if !is_encoded {
        return Ok(bytes);
    }
    from_base64url(bytes.expose().trim_ascii()).map(Secret::new).map_err(|_| {
        Failure::new("it is not base64url without padding").next("Bytes are taken without --encoded.")
    })
}

impl Out {
    fn write(&self, format: Format, done: &Done) -> Result<(), Failure> {
        let value = done.value.expose();
        if let Some(path) = &self.out {
            let bytes = from_base64url(value).map(Secret::new);
            let bytes = bytes.map_err(|_| Failure::new("the vault's answer is not understood"))?;
            files::write(path, self.force, bytes.expose())?;
            // What is needed besides to decrypt it again.
            for (name, text) in [("iv", &done.iv), ("tag", &done.tag)] {
                if let Some(text) = text {
                    output::note(format_args!("--{name} {text}"));
                }
            }
            return Ok(());
        }
        let (iv, tag, aad) = (done.iv.as_deref(), done.tag.as_deref(), done.aad.as_deref());
        match format {
            Format::Json => output::json(&Shown { kid: &done.kid, value, iv, tag, aad }),
            Format::Table => {
                output::line(value);
                for (name, text) in [("iv", iv), ("tag", tag)] {
                    if let Some(text) = text {
                        output::note(format_args!("--{name} {text}"));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypt::encoding::hex;

    #[test]
    fn a_digest_is_of_all_that_is_read() {
        let bytes = vec![b'a'; 1_000_000];
        let digest = digest_of(MessageDigest::of_bytes(32).unwrap(), &*bytes).unwrap();
        // FIPS 180-4's third example: a million times "a".
        assert_eq!(hex(&digest), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    /// One in 64 of what is random begins with a hyphen.
    #[test]
    fn base64url_may_begin_with_a_hyphen() {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(subcommand)]
            command: Command,
        }
        let parse =
            |line: &str| <Cli as clap::Parser>::try_parse_from(std::iter::once("key").chain(line.split(' ')));
        for word in ["decrypt", "unwrap"] {
            let line = format!("{word} shop k --algorithm A128GCM --iv -AAA --tag --AA --aad -_8A --encoded");
            let (Command::Decrypt(open) | Command::Unwrap(open)) = parse(&line).unwrap().command else {
                panic!("{line}")
            };
            let told = [open.iv, open.tag, open.aad].map(Option::unwrap);
            assert!(told == ["-AAA", "--AA", "-_8A"] && open.encoded, "{told:?}");
        }
        for word in ["encrypt", "wrap"] {
            let line = format!("{word} shop k --algorithm A128GCM --aad -AAA");
            let (Command::Encrypt(seal) | Command::Wrap(seal)) = parse(&line).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!(seal.aad.as_deref(), Some("-AAA"));
        }
        // An option whose value was forgotten does not take the next one.
        let forgotten = parse("decrypt shop k --algorithm A128GCM --iv --encoded").unwrap_err();
        assert!(forgotten.to_string().contains("--iv"), "{forgotten}");
    }

    #[test]
    fn what_is_sent_is_what_key_vault_takes() {
        let body = Body { value: "dg", ..Body::of("ES256") };
        assert_eq!(body.bytes().unwrap().unwrap().expose(), br#"{"alg":"ES256","value":"dg"}"#);
        let body = Body { value: "c2", digest: Some("dg"), ..Body::of("RS256") };
        assert_eq!(body.bytes().unwrap().unwrap().expose(), br#"{"alg":"RS256","value":"c2","digest":"dg"}"#);
    }
}
