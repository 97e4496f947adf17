//! Claims, signed by the right key, that do not make a caller: late, early, of somebody else, for somebody else, of a wrong type.

use super::forge::{Case, Forge};
use serde_json::{Value, json};

const MALFORMED: &str = "AKV10001";
const EXPIRED: &str = "AKV10021";
const AUDIENCE: &str = "AKV10022";
const EARLY: &str = "AKV10023";
const ISSUER: &str = "AKV10032";
const OTHER: &str = "11111111-1111-4111-8111-111111111111";

/// All of them.
pub(super) fn cases(forge: &Forge) -> Vec<Case> {
    let mut cases = times(forge);
    cases.extend(audiences(forge));
    cases.extend(issuers(forge));
    cases.extend(callers(forge));
    cases.extend(texts(forge));
    cases
}

fn case(forge: &Forge, claim: &str, value: Value, says: &'static str) -> Case {
    let shown = if value.is_null() { "missing".to_owned() } else { value.to_string() };
    let token = forge.saying(&forge.claims_with(claim, value).to_string());
    Case::of(&format!("{claim} {shown}"), says, &format!("Bearer {token}"))
}

/// A value that JSON has and `serde_json`'s own values do not, in the place of a claim.
fn raw(forge: &Forge, claim: &str, value: &str, says: &'static str) -> Case {
    let claims = forge.claims_with(claim, json!("PLACE")).to_string().replace("\"PLACE\"", value);
    Case::of(&format!("{claim} {value}"), says, &format!("Bearer {}", forge.saying(&claims)))
}

fn times(forge: &Forge) -> Vec<Case> {
    let now = forge.now;
    let mut cases = vec![
        case(forge, "exp", json!(now - 1), EXPIRED),
        case(forge, "exp", json!(now), EXPIRED),
        case(forge, "exp", json!(0), EXPIRED),
        case(forge, "exp", json!(-1), EXPIRED),
        case(forge, "exp", json!(i64::MIN), EXPIRED),
        case(forge, "nbf", json!(now + 301), EARLY),
        case(forge, "nbf", json!(now + 86_400), EARLY),
        case(forge, "nbf", json!(i64::MAX), EARLY),
    ];
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            Value::Null,
            json!(now.to_string()),
            json!("2027-01-15T09:00:00Z"),
            json!("canary"),
            json!(true),
            json!([now + 3_600]),
            json!({"canary": now}),
            json!(u64::MAX),
        ] {
            cases.push(case(forge, claim, value, MALFORMED));
        }
        for value in [
            "null",
            "1.9e9",
            "1900000000.5",
            "1e300",
            "-1e300",
            "99999999999999999999999",
            "1e999",
            "NaN",
            "Infinity",
        ] {
            cases.push(raw(forge, claim, value, MALFORMED));
        }
    }
    cases
}

fn audiences(forge: &Forge) -> Vec<Case> {
    let right = forge.claims["aud"].as_str().unwrap().to_owned();
    let wrong = [
        "https://management.azure.com".to_owned(),
        "https://graph.microsoft.com".to_owned(),
        "https://shop.vault.keyless.localhost:8443".to_owned(),
        "https://vault.keyless.localhost".to_owned(),
        right.to_uppercase(),
        format!("{right}//"),
        format!("{right} "),
        format!("{right}/.default"),
        format!("{right},https://management.azure.com"),
        right.replace("https", "http"),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        String::new(),
    ];
    let mut cases: Vec<_> = wrong.into_iter().map(|aud| case(forge, "aud", json!(aud), AUDIENCE)).collect();
    // Tokens of the directory have one audience, as text. A list, which RFC 7519 would allow, is of somebody else's making.
    for aud in [
        Value::Null,
        json!([right]),
        json!([right, "https://management.azure.com"]),
        json!(["https://management.azure.com", right]),
        json!([]),
        json!({"0": right}),
        json!(7),
        json!(true),
    ] {
        cases.push(case(forge, "aud", aud, MALFORMED));
    }
    cases
}

fn issuers(forge: &Forge) -> Vec<Case> {
    let (right, tenant) = (forge.claims["iss"].as_str().unwrap().to_owned(), &forge.tenant);
    let wrong = [
        // The public cloud's names for this tenant are ours (`shadow`), other spellings of them and other tenants are not.
        format!("https://sts.windows.net/{OTHER}/"),
        format!("https://sts.windows.net/{tenant}"),
        format!("http://sts.windows.net/{tenant}/"),
        format!("https://login.microsoftonline.com/{tenant}/"),
        format!("https://login.microsoftonline.com/{OTHER}/v2.0"),
        format!("https://login.windows.net/{tenant}/v2.0"),
        right.replace(tenant.as_str(), OTHER),
        right.replace("https", "http"),
        right.trim_end_matches('/').to_owned(),
        right.to_uppercase(),
        format!("{right}/"),
        format!("{right}v1.0"),
        format!("{right}?x=y"),
        right.replace("login.", "evil.example/login."),
        right.replace(":8443", ""),
        "common".to_owned(),
        String::new(),
    ];
    let mut cases: Vec<_> = wrong.into_iter().map(|iss| case(forge, "iss", json!(iss), ISSUER)).collect();
    cases.push(case(forge, "tid", json!(OTHER), ISSUER));
    for (claim, value) in [
        ("iss", Value::Null),
        ("iss", json!([right])),
        ("iss", json!(7)),
        ("tid", Value::Null),
        ("tid", json!(7)),
        ("tid", json!("canary")),
        ("tid", json!([tenant])),
        ("tid", json!("")),
    ] {
        cases.push(case(forge, claim, value, MALFORMED));
    }
    // Both say the other tenant: a token of another directory that has got our key's id.
    let mut claims = forge.claims_with("tid", json!(OTHER));
    claims["iss"] = json!(right.replace(tenant.as_str(), OTHER));
    cases.push(Case::of(
        "another tenant's token",
        ISSUER,
        &format!("Bearer {}", forge.saying(&claims.to_string())),
    ));
    cases
}

fn callers(forge: &Forge) -> Vec<Case> {
    let (principal, client) = (forge.claims["oid"].clone(), forge.claims["appid"].clone());
    let mut cases = Vec::new();
    for (claim, right) in [("oid", &principal), ("appid", &client)] {
        let braces = format!("{{canary{}}}", right.as_str().unwrap());
        for value in [
            Value::Null,
            json!(7),
            json!(""),
            json!("canary"),
            json!([right]),
            json!({"canary": right}),
            json!(true),
            json!(braces),
        ] {
            cases.push(case(forge, claim, value, MALFORMED));
        }
    }
    // What a principal is called elsewhere is not who it is.
    let mut claims = forge.claims_with("oid", Value::Null);
    claims["sub"] = principal.clone();
    claims["principal"] = principal;
    cases.push(Case::of(
        "sub instead of oid",
        MALFORMED,
        &format!("Bearer {}", forge.saying(&claims.to_string())),
    ));
    cases
}

/// Claims as text: what JSON does not forbid, or what is none.
fn texts(forge: &Forge) -> Vec<Case> {
    let claims = forge.claims.to_string();
    let inner = claims.trim_start_matches('{').trim_end_matches('}');
    let oid = OTHER;
    let of = |claim: &&str| forge.claims[*claim].clone();
    let values: Value =
        ["aud", "iss", "iat", "nbf", "exp", "oid", "tid", "appid", "azp"].iter().map(of).collect();
    let mut texts = vec![
        ("their values in a list".to_owned(), values.to_string()),
        ("an empty object".to_owned(), "{}".to_owned()),
        ("a list".to_owned(), format!("[{claims}]")),
        ("text".to_owned(), "\"canary\"".to_owned()),
        ("null".to_owned(), "null".to_owned()),
        ("nothing".to_owned(), String::new()),
        ("no JSON".to_owned(), "canary".to_owned()),
        ("a byte order mark".to_owned(), format!("\u{feff}{claims}")),
        ("something behind them".to_owned(), format!("{claims}x")),
        ("a second object".to_owned(), format!("{claims}{{}}")),
        ("a comma too many".to_owned(), format!("{{{inner},}}")),
        ("a comment".to_owned(), format!("{{/*canary*/{inner}}}")),
        ("1,000 brackets".to_owned(), format!("{{{inner},\"x\":{}", "[".repeat(1_000))),
        ("a member twice, once escaped".to_owned(), format!("{{{inner},\"\\u006fid\":\"{oid}\"}}")),
    ];
    for claim in ["aud", "iss", "tid", "oid", "exp", "nbf", "iat", "appid"] {
        let value = &forge.claims[claim];
        texts.push((format!("{claim} twice, the same"), format!("{{{inner},\"{claim}\":{value}}}")));
        texts.push((format!("{claim} twice, first another"), format!("{{\"{claim}\":7,{inner}}}")));
    }
    let case = |(name, text): (String, String)| {
        Case::of(&format!("claims: {name}"), MALFORMED, &format!("Bearer {}", forge.saying(&text)))
    };
    texts.into_iter().map(case).collect()
}

/// Claims at the border that are still a caller's.
pub(super) fn right(forge: &Forge) -> Vec<Case> {
    let now = forge.now;
    [
        ("exp", json!(now + 1)),
        ("nbf", json!(now + 300)),
        ("nbf", json!(0)),
        ("iat", json!(0)),
        ("xms_unheard", json!("of")),
    ]
    .into_iter()
    .map(|(claim, value)| case(forge, claim, value, ""))
    .collect()
}
