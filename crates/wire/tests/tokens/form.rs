//! What is not one token in one header: tampered, cut, joined, padded, doubled, or elsewhere.

use super::forge::{Case, Forge};
use crypt::encoding::{self, base64url};
use domain::limits;
use http::{HeaderName, HeaderValue, header};
use serde_json::json;

const MALFORMED: &str = "AKV10001";
const SIGNATURE: &str = "AKV10046";

/// All of them.
pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = tampered(forge);
    cases.extend(segments(forge));
    cases.extend(encodings(forge));
    cases.extend(schemes(forge));
    cases.extend(doubled(forge));
    cases
}

/// Header, claims and signature of the good token.
fn parts(forge: &Forge) -> [&str; 3] {
    let mut parts = forge.good.split('.');
    std::array::from_fn(|_| parts.next().unwrap())
}

fn bearer(name: &str, says: &'static str, token: &str) -> Case {
    Case::of(name, says, &format!("Bearer {token}"))
}

fn tampered(forge: &Forge) -> Vec<Case> {
    let [head, claims, signature] = parts(forge);
    let other = json!("11111111-1111-4111-8111-111111111111");
    let another = base64url(forge.claims_with("oid", other).to_string().as_bytes());
    let longer = base64url(forge.claims_with("exp", json!(forge.now + 86_400)).to_string().as_bytes());
    // The same header to a reader of JSON, and not the same bytes.
    let spaced = base64url(forge.header().to_string().replace(',', ", ").as_bytes());
    let bytes = encoding::from_base64url(signature).unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        base64url(&bytes)
    };
    let cut = |many: usize| base64url(&bytes[..many]);
    let of = |signature: &str| format!("{head}.{claims}.{signature}");
    let (first, middle, last) = (flipped(0), flipped(bytes.len() / 2), flipped(bytes.len() - 1));
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let zeros = vec![0; bytes.len()];
    vec![
        bearer("claims of another", SIGNATURE, &format!("{head}.{another}.{signature}")),
        bearer("claims that last longer", SIGNATURE, &format!("{head}.{longer}.{signature}")),
        bearer("another spelling of the header", SIGNATURE, &format!("{spaced}.{claims}.{signature}")),
        bearer("signature: first bit", SIGNATURE, &of(&first)),
        bearer("signature: a bit in the middle", SIGNATURE, &of(&middle)),
        bearer("signature: last bit", SIGNATURE, &of(&last)),
        bearer("signature: one byte less", SIGNATURE, &of(&cut(bytes.len() - 1))),
        bearer("signature: half", SIGNATURE, &of(&cut(bytes.len() / 2))),
        bearer("signature: one byte", SIGNATURE, &of(&cut(1))),
        bearer("signature: one byte more", SIGNATURE, &of(&base64url(&[&bytes[..], b"x"].concat()))),
        bearer("signature: a zero before it", SIGNATURE, &of(&base64url(&[b"\0", &bytes[..]].concat()))),
        bearer("signature: twice", SIGNATURE, &of(&base64url(&bytes.repeat(2)))),
        bearer("signature: backwards", SIGNATURE, &of(&base64url(&reversed))),
        bearer("signature: zeros", SIGNATURE, &of(&base64url(&zeros))),
        bearer("signature: none", SIGNATURE, &format!("{head}.{claims}.")),
    ]
}

fn segments(forge: &Forge) -> Vec<Case> {
    let [head, claims, signature] = parts(forge);
    let good = &forge.good;
    let texts = [
        ("two segments", format!("{head}.{claims}")),
        ("one segment", head.to_owned()),
        ("four segments", format!("{good}.e30")),
        ("an empty fourth segment", format!("{good}.")),
        ("five segments, as encrypted ones have", format!("{good}.{claims}.{signature}")),
        ("an empty first segment", format!(".{good}")),
        ("an empty header", format!(".{claims}.{signature}")),
        ("two dots between", format!("{head}..{claims}.{signature}")),
        ("only dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("segments in another order", format!("{claims}.{head}.{signature}")),
    ];
    let mut cases: Vec<_> = texts.iter().map(|(name, text)| bearer(name, MALFORMED, text)).collect();
    let nested = format!("{head}.{}.{signature}", base64url(good.as_bytes()));
    cases.push(bearer("a token in a token", SIGNATURE, &nested));
    cases.push(bearer("empty claims", SIGNATURE, &format!("{head}..{signature}")));
    cases.push(bearer(
        "one character more than a token may have",
        MALFORMED,
        &"a".repeat(limits::TOKEN_BYTES_MAX + 1),
    ));
    let padded = format!("{head}.{}.{signature}", "A".repeat(limits::TOKEN_BYTES_MAX));
    cases.push(bearer("claims longer than a token may be", MALFORMED, &padded));
    let long = json!({"alg": "RS256", "kid": forge.key.kid(), "canary": "x".repeat(4_000)});
    cases.push(bearer("a header of 4 KB", MALFORMED, &forge.under(&long)));
    cases
}

/// The same bytes in other spellings. Only the last character of what ends within one has bits to spare.
fn encodings(forge: &Forge) -> Vec<Case> {
    let [head, claims, signature] = parts(forge);
    let loose = |text: &str| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let last = text.bytes().last().unwrap();
        let at = alphabet.iter().position(|byte| *byte == last).unwrap();
        let changed = char::from(alphabet[at + 1]);
        format!("{}{changed}", &text[..text.len() - 1])
    };
    let standard = |text: &str| text.replace('-', "+").replace('_', "/");
    let good = &forge.good;
    let texts = [
        ("= behind the header", format!("{head}=.{claims}.{signature}")),
        ("= behind the signature", format!("{good}=")),
        ("== behind the signature", format!("{good}==")),
        ("spare bits in the signature", format!("{head}.{claims}.{}", loose(signature))),
        ("the other alphabet", format!("{head}.{claims}.{}", standard(signature))),
        ("percent-encoded dots", good.replace('.', "%2E")),
        ("percent-encoded = behind it", format!("{good}%3D")),
        ("a space in the signature", format!("{head}.{claims}.{} {}", &signature[..20], &signature[20..])),
        ("a quote before and behind", format!("\"{good}\"")),
        ("angle brackets", format!("<{good}>")),
        ("a semicolon behind", format!("{good};")),
        ("a comma behind", format!("{good},")),
        ("a zero in text behind", format!("{good}%00")),
    ];
    let mut cases: Vec<_> = texts.iter().map(|(name, text)| bearer(name, MALFORMED, text)).collect();
    for (name, middle) in [
        ("= behind the claims", format!("{claims}=")),
        ("a space before the claims", format!(" {claims}")),
        ("a tab before the claims", format!("\t{claims}")),
    ] {
        cases.push(bearer(name, SIGNATURE, &format!("{head}.{middle}.{signature}")));
        // Signed as they stand: their spelling alone is what is wrong.
        let signed = forge.signed_as_it_stands(&format!("{head}.{middle}"));
        cases.push(bearer(&format!("{name}, and signed so"), MALFORMED, &signed));
    }
    let signed = forge.signed_as_it_stands(&format!("{head}=.{claims}"));
    cases.push(bearer("= behind the header, and signed so", MALFORMED, &signed));
    for (name, bytes) in
        [("a letter that is not ASCII", "é".as_bytes()), ("bytes that are no UTF-8", b"\xff\xfe")]
    {
        let value = [format!("Bearer {good}").as_bytes(), bytes].concat();
        cases.push(Case::bytes(name, MALFORMED, &value));
    }
    cases
}

fn schemes(forge: &Forge) -> Vec<Case> {
    let good = &forge.good;
    let basic = encoding::base64(format!("canary:{good}").as_bytes());
    [
        ("the scheme Basic", format!("Basic {basic}")),
        ("a token as Basic", format!("Basic {good}")),
        ("the scheme Digest", format!("Digest username=\"canary\", response=\"{good}\"")),
        ("the scheme Negotiate", format!("Negotiate {good}")),
        ("the scheme PoP", format!("PoP {good}")),
        ("the scheme SharedKey", format!("SharedKey canary:{good}")),
        ("a longer scheme", format!("BearerX {good}")),
        ("no scheme", good.clone()),
        ("no space", format!("Bearer{good}")),
        ("a colon", format!("Bearer: {good}")),
        ("a tab for the space", format!("Bearer\t{good}")),
        ("an equals sign", format!("Bearer={good}")),
        ("the scheme twice", format!("Bearer Bearer {good}")),
        ("a name for the token", format!("Bearer token={good}")),
        ("the scheme alone", "Bearer".to_owned()),
        ("the scheme and a space", "Bearer ".to_owned()),
        ("nothing", String::new()),
        ("two tokens with a comma", format!("Bearer {good}, {good}")),
        ("two tokens with a comma and no space", format!("Bearer {good},{good}")),
        ("two schemes with a comma", format!("Bearer {good}, Bearer {good}")),
        ("Basic and then Bearer", format!("Basic {basic}, Bearer {good}")),
        ("two tokens with a space", format!("Bearer {good} {good}")),
    ]
    .iter()
    .map(|(name, text)| Case::of(name, MALFORMED, text))
    .collect()
}

/// Two headers are two opinions, also if they say the same.
fn doubled(forge: &Forge) -> Vec<Case> {
    let good = format!("Bearer {}", forge.good);
    let bad = format!("Bearer {}", forge.attackers(&forge.header()));
    let pairs = [
        ("the good token twice", &*good, &*good),
        ("a good token, then a bad one", &good, &bad),
        ("a bad token, then a good one", &bad, &good),
        ("a good token, then Basic", &good, "Basic Y2FuYXJ5OmNhbmFyeQ=="),
        ("nothing, then a good token", "", &good),
    ];
    let case = |(name, first, second): (&str, &str, &str)| {
        let mut case = Case::of(&format!("two headers: {name}"), MALFORMED, first);
        case.headers.push((header::AUTHORIZATION, HeaderValue::from_str(second).unwrap()));
        case
    };
    pairs.into_iter().map(case).collect()
}

/// A good token where none is looked for.
pub(super) fn elsewhere(forge: &Forge) -> Vec<Case> {
    let good = &forge.good;
    let empty = |name: &str| Case {
        name: name.to_owned(),
        says: "AKV10000",
        headers: Vec::new(),
        query: String::new(),
    };
    let mut cases = vec![empty("no token at all")];
    for name in ["access_token", "token", "authorization", "bearer", "Authorization"] {
        cases.push(Case { query: format!("&{name}={good}"), ..empty(&format!("in the query as {name}")) });
    }
    for (name, value) in [
        ("x-authorization", format!("Bearer {good}")),
        ("proxy-authorization", format!("Bearer {good}")),
        ("x-original-authorization", format!("Bearer {good}")),
        ("x-ms-token-aad-access-token", good.clone()),
        ("x-ms-authorization-auxiliary", format!("Bearer {good}")),
        ("cookie", format!("access_token={good}; Authorization=Bearer {good}")),
        ("sec-websocket-protocol", format!("bearer, {good}")),
    ] {
        let value = HeaderValue::from_str(&value).unwrap();
        cases.push(Case {
            headers: vec![(HeaderName::from_static(name), value)],
            ..empty(&format!("as {name}"))
        });
    }
    cases
}

/// Spellings of the header that RFC 9110 section 11.1 allows.
pub(super) fn right(forge: &Forge) -> Vec<Case> {
    let good = &forge.good;
    ["Bearer ", "bearer ", "BEARER ", "Bearer  "]
        .iter()
        .map(|scheme| Case::of(&format!("{scheme:?}"), "", &format!("{scheme}{good}")))
        .collect()
}
