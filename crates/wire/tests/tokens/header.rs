//! Headers that say how they want to be verified: another algorithm, another key, a key that comes along.

use super::forge::{Case, Forge};
use crypt::{
    encoding::{base64, base64url},
    keys::{Curve, KeySpec, PrivateKey},
};
use serde_json::{Value, json};

const MALFORMED: &str = "AKV10001";
const SIGNATURE: &str = "AKV10046";

/// All of them.
pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = algorithms(forge);
    cases.extend(public_key_as_hmac(forge));
    cases.extend(key_ids(forge));
    cases.extend(keys_that_come_along(forge));
    cases.extend(other_members(forge));
    cases
}

fn algorithms(forge: &Forge) -> Vec<Case> {
    let mut cases = Vec::new();
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = json!({"alg": none, "typ": "JWT", "kid": forge.key.kid()});
        let unsigned = Forge::token(&header.to_string(), &forge.claims.to_string(), |_| Vec::new());
        cases.push(Case::of(&format!("alg {none}, no signature"), SIGNATURE, &format!("Bearer {unsigned}")));
        let signed = forge.under(&header);
        cases.push(Case::of(
            &format!("alg {none}, the right signature"),
            SIGNATURE,
            &format!("Bearer {signed}"),
        ));
    }
    let ec = PrivateKey::generate(KeySpec::Ec(Curve::P256), &crypt::SystemEntropy).unwrap();
    for (algorithm, key, digest) in [
        ("RS384", &forge.right, 48),
        ("RS512", &forge.right, 64),
        ("PS256", &forge.right, 32),
        ("PS512", &forge.right, 64),
        ("ES256", &ec, 32),
    ] {
        let token = forge.by_algorithm(algorithm, key, digest);
        cases.push(Case::of(&format!("alg {algorithm}"), SIGNATURE, &format!("Bearer {token}")));
    }
    for (name, alg, says) in [
        ("alg rs256", json!("rs256"), SIGNATURE),
        ("alg empty", json!(""), SIGNATURE),
        ("alg with a space", json!("RS256 "), SIGNATURE),
        ("alg missing", Value::Null, MALFORMED),
        ("alg a number", json!(256), MALFORMED),
        ("alg a list", json!(["RS256"]), MALFORMED),
    ] {
        cases.push(Case::of(name, says, &format!("Bearer {}", forge.under(&forge.header_with("alg", alg)))));
    }
    cases
}

/// The oldest trick: what everybody may know, used as the secret of an HMAC.
fn public_key_as_hmac(forge: &Forge) -> Vec<Case> {
    let spki = forge.right.public().unwrap().to_spki().unwrap();
    let lines: Vec<_> =
        base64(&spki).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let public = forge.key.public();
    let n = crypt::encoding::from_base64url(public.n()).unwrap();
    let jwk = json!({"e": public.e(), "kty": "RSA", "n": public.n()}).to_string();
    let keys: [(&str, &[u8]); 9] = [
        ("PEM", pem.as_bytes()),
        ("PEM without its last line end", pem.trim_end().as_bytes()),
        ("DER", &spki),
        ("certificate", forge.key.certificate_der()),
        ("modulus", &n),
        ("modulus as text", public.n().as_bytes()),
        ("JWK", jwk.as_bytes()),
        ("key id", forge.key.kid().as_bytes()),
        ("empty text", b""),
    ];
    let case = |(name, key): (&str, &[u8])| {
        Case::of(
            &format!("HS256 with the public key's {name}"),
            SIGNATURE,
            &format!("Bearer {}", forge.by_hmac(key)),
        )
    };
    keys.into_iter().map(case).collect()
}

fn key_ids(forge: &Forge) -> Vec<Case> {
    let long = "canary".repeat(11);
    let longer = "canary".repeat(600);
    let kids = [
        ("an unknown one", json!(forge.attacker.kid()), SIGNATURE),
        ("ours", json!(forge.key.kid()), SIGNATURE),
        ("plain text", json!("canary"), SIGNATURE),
        ("missing", Value::Null, MALFORMED),
        ("empty", json!(""), MALFORMED),
        ("a number", json!(1), MALFORMED),
        ("a list", json!([forge.key.kid()]), MALFORMED),
        ("an object", json!({"canary": 1}), MALFORMED),
        ("true", json!(true), MALFORMED),
        ("a path", json!("../../../../canary"), MALFORMED),
        ("an empty device", json!("/dev/null"), MALFORMED),
        ("a URL", json!("https://evil.example/canary"), MALFORMED),
        ("a query", json!("x' UNION SELECT 'canary"), MALFORMED),
        ("a command", json!("|canary"), MALFORMED),
        ("a line end", json!("canary\nX: y"), MALFORMED),
        ("a zero byte", json!("canary\u{0}"), MALFORMED),
        ("ours with a space", json!(format!("{} ", forge.key.kid())), MALFORMED),
        ("66 characters", json!(long), MALFORMED),
        ("3,600 characters", json!(longer), MALFORMED),
    ];
    let case = |(name, kid, says): (&str, Value, &'static str)| {
        let token = forge.attackers(&forge.header_with("kid", kid));
        Case::of(&format!("kid: {name}, by another key"), says, &format!("Bearer {token}"))
    };
    kids.into_iter().map(case).collect()
}

/// The attacker's key, or where to fetch it, in the token itself: under our key's id and under the attacker's own, signed by the attacker.
fn keys_that_come_along(forge: &Forge) -> Vec<Case> {
    let public = forge.attacker.public();
    let thumbprint = base64url(crypt::sha256(forge.attacker.certificate_der()).bytes());
    let members = [
        ("jku", json!("https://evil.example/canary/keys")),
        ("jku", json!(format!("https://login.keyless.localhost:8443/{}/discovery/keys", forge.tenant))),
        ("jwk", json!({"kty": "RSA", "n": public.n(), "e": public.e(), "kid": public.kid(), "use": "sig"})),
        ("x5u", json!("https://evil.example/canary.pem")),
        ("x5c", json!(public.x5c())),
        ("x5t", json!(public.kid())),
        ("x5t#S256", json!(thumbprint)),
    ];
    let mut cases = Vec::new();
    for (number, (member, value)) in members.into_iter().enumerate() {
        for (whose, kid) in [("our", forge.key.kid()), ("the attacker's", forge.attacker.kid())] {
            let mut header = forge.header_with("kid", json!(kid));
            header[member] = value.clone();
            // The one member that our own headers may have names the key once more, and must name the same.
            let is_known = member == "x5t" && kid == public.kid();
            let says = if is_known { SIGNATURE } else { MALFORMED };
            let name = format!("{member} ({number}) under {whose} key id");
            cases.push(Case::of(&name, says, &format!("Bearer {}", forge.attackers(&header))));
        }
        let mut header = forge.header();
        header[member] = value;
        let name = format!("{member} ({number}), by the right key");
        cases.push(Case::of(&name, MALFORMED, &format!("Bearer {}", forge.under(&header))));
    }
    cases
}

fn other_members(forge: &Forge) -> Vec<Case> {
    let members = [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["canary"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("nonce", json!("canary")),
        ("typ", json!("JWE")),
        ("typ", json!("at+jwt")),
        ("typ", json!("JOSE")),
        ("typ", json!("pop")),
        ("typ", json!(["JWT"])),
    ];
    let case = |(member, value): (&str, Value)| {
        let token = forge.under(&forge.header_with(member, value.clone()));
        Case::of(&format!("{member} {value}, by the right key"), MALFORMED, &format!("Bearer {token}"))
    };
    let mut cases: Vec<_> = members.into_iter().map(case).collect();
    let (kid, attackers) = (forge.key.kid(), forge.attacker.kid());
    for (name, header) in [
        ("alg twice", format!(r#"{{"alg":"RS256","kid":"{kid}","alg":"none"}}"#)),
        ("kid twice", format!(r#"{{"alg":"RS256","kid":"{kid}","kid":"{attackers}"}}"#)),
        ("kid twice, once escaped", format!(r#"{{"alg":"RS256","kid":"{kid}","\u006bid":"{attackers}"}}"#)),
        ("a list", format!(r#"["RS256","{kid}"]"#)),
        ("two objects", format!(r#"{{"alg":"RS256","kid":"{kid}"}}{{}}"#)),
        ("a comment", format!(r#"{{"alg":"RS256",/*canary*/"kid":"{kid}"}}"#)),
        ("a byte order mark", format!("\u{feff}{{\"alg\":\"RS256\",\"kid\":\"{kid}\"}}")),
        ("no JSON", "canary".to_owned()),
        ("nothing", String::new()),
        ("10,000 brackets", "[".repeat(700)),
    ] {
        let token = forge.signed(&header, &forge.claims.to_string());
        cases.push(Case::of(
            &format!("header: {name}, by the right key"),
            MALFORMED,
            &format!("Bearer {token}"),
        ));
    }
    cases
}

/// Headers that are ours.
pub(super) fn right(forge: &Forge) -> Vec<Case> {
    let headers = [
        ("our header", forge.header()),
        ("no typ", forge.header_with("typ", Value::Null)),
        ("typ jwt", forge.header_with("typ", json!("jwt"))),
        ("x5t of the same key", forge.header_with("x5t", json!(forge.key.kid()))),
    ];
    headers
        .into_iter()
        .map(|(name, header)| Case::of(name, "", &format!("Bearer {}", forge.under(&header))))
        .collect()
}
