//! What a table cannot say: what one command of a vault makes, another one takes.

use super::{
    Az,
    rows::{
        Row,
        Shown::{Ours, Says},
        play,
    },
};
use e2e::{Registered, wait};
use serde_json::Value;

/// `az` sends whatever is in a file in base64, PEM as well.
pub(super) fn certificates_are_imported(az: &Az, operator: &Registered) {
    let place = az.server().place();
    let _said = az.server().keyless(["certificate", "download", "shop", "tls", "tls.pem", "--with-key"]).ok();
    let pem = std::fs::read_to_string(place.join("tls.pem")).unwrap();
    let (key, _) = pem.split_once("-----BEGIN CERTIFICATE").unwrap();
    // Its key below a password, as OpenSSL writes it.
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkcs8", "-topk8", "-passout", "pass:1234"]);
    let encrypted = wait::output(&mut openssl, key.as_bytes()).stdout;
    let certificate = pem.strip_prefix(key).unwrap().as_bytes();
    std::fs::write(place.join("encrypted.pem"), [&encrypted, certificate].concat()).unwrap();
    play(
        az,
        operator,
        &[
            Row(
                "keyvault certificate import --vault-name shop -n taken -f tls.pem",
                0,
                Ours("certificate show shop taken", "taken"),
            ),
            Row(
                "keyvault certificate import --vault-name shop -n opened -f encrypted.pem --password 1234",
                0,
                Ours("certificate show shop opened", "opened"),
            ),
            Row(
                "keyvault certificate import --vault-name shop -n closed -f encrypted.pem --password 1235",
                1,
                Says("does not open its private key"),
            ),
        ],
    );
}

/// What one command makes, another one takes; and not what was changed.
pub(super) fn keys_are_used(az: &Az) {
    const HELLO: &str = "aGVsbG8=";
    const DIGEST: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const OTHER: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let text =
        |told: &Value, place: &str| told[place].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let rsa = "--vault-name shop -n rsa -a RSA-OAEP-256 --data-type base64";
    let encrypted = az.run(&format!("keyvault key encrypt {rsa} --value {HELLO}"));
    let decrypted = az.run(&format!("keyvault key decrypt {rsa} --value {}", text(&encrypted, "result")));
    assert_eq!(text(&decrypted, "result"), HELLO, "{decrypted}");
    // Our own command line opens it, too.
    let decrypt = ["key", "decrypt", "shop", "rsa", "--algorithm", "RSA-OAEP-256", "--encoded"];
    let encoded = text(&encrypted, "result").replace('+', "-").replace('/', "_").replace('=', "");
    let ours = az.server().keyless_with(decrypt, &encoded);
    assert_eq!(ours.ok().trim(), "aGVsbG8");
    az.refused(
        &format!("keyvault key encrypt --vault-name shop -n none -a RSA-OAEP-256 --value {HELLO}"),
        1,
        "KeyNotFound",
    );

    let ec = "--vault-name shop -n ec -a ES256";
    let signed = az.run(&format!("keyvault key sign {ec} --digest {DIGEST}"));
    let verify = |digest: &str| {
        az.run(&format!(
            "keyvault key verify {ec} --digest {digest} --signature {}",
            text(&signed, "signature")
        ))
    };
    assert_eq!(verify(DIGEST)["isValid"], true);
    assert_eq!(verify(OTHER)["isValid"], false);
    az.refused(
        &format!(
            "keyvault key verify --vault-name shop -n none -a ES256 --digest {DIGEST} --signature {DIGEST}"
        ),
        1,
        "KeyNotFound",
    );
}
