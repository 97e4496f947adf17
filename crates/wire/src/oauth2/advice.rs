//! What to do about each of our AADSTS numbers, in a sentence: what the page says to which errors refer (`error_uri`, RFC 6749 section 5.2). The
//! error itself says what was wrong with this very request.

/// What to do about an error of this number. `None`: there is no such number here.
pub(crate) const fn advice(code: i32) -> Option<&'static str> {
    Some(match code {
        50000 => "Something went wrong here: tell your administrator the trace id of the answer.",
        90033 => "Signing in is not possible right now: try again in a moment.",
        900_561 | 9_002_313 | 900_144 | 901_002 | 50011 | 700_054 => {
            "The app has sent a request that cannot be answered: whoever made it finds in the error's description what is missing or wrong, and \
             in the app registration what is expected."
        }
        50049 | 90002 | 900_023 | 50059 => {
            "The request names no directory that is here: check the authority and the tenant that the app is told."
        }
        70003 => {
            "The app asks in a way that is not enabled here: use one of those that the discovery document lists."
        }
        700_016 => {
            "No app is registered here under this client id: register it, or check the id and the directory that the app is told."
        }
        7_000_112 => "The app is disabled: an administrator can enable it.",
        7_000_218 | 7_000_215 | 7_000_222 | 700_025 => {
            "The app has not proven itself: check its client secret and how long that is good, or whether it is registered as a public client."
        }
        50027 | 700_021 | 700_023 | 700_024 | 700_027 | 700_211 | 700_212 | 700_213 | 700_229 | 50166 => {
            "What the app has signed, or was given by another issuer, does not prove it: compare its issuer, subject, audience, times and key \
             with the certificates and federated credentials of the app registration."
        }
        9_002_326 | 9_002_327 => {
            "Pages in a browser and programs elsewhere redeem each only what was given to them: register the redirect URI for the right platform."
        }
        500_011 | 50001 | 70011 | 1_002_012 | 700_022 | 650_057 => {
            "The app asks for a resource or scope that it cannot have in this way: check the scope, and what the app registration lists."
        }
        65001 => {
            "Nobody has agreed that the app does this: sign in to it by a browser and agree, or ask an administrator to agree for all."
        }
        65004 => "It was declined: begin again to answer otherwise.",
        90094 => "Only an administrator can agree to what the app asks for: ask one.",
        50105 | 501_051 => "The app is only for those who are assigned to it: ask an administrator.",
        50058 | 50173 | 70008 | 70000 | 54005 | 700_082 | 700_084 | 500_133 | 50013 => {
            "What the app has shown of a sign-in is not good, or not any more: sign in again."
        }
        500_112 | 50148 => {
            "The code was not redeemed by whoever asked for it, or in another way: begin the sign-in again."
        }
        70016 => "The user has not answered yet: the device goes on asking.",
        70018 | 70019 => "The device's code is wrong, was used, or is too old: begin again on the device.",
        50126 => "The user name or the password is wrong.",
        50057 => "The account is disabled: ask an administrator.",
        50053 => "Too many tries: wait as long as the error says.",
        50055 => "Another password must be set: sign in by a browser.",
        50076 => "A second factor is needed: sign in by a browser.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_that_is_told_has_its_sentence() {
        let source = include_str!("error.rs");
        let told: Vec<i32> = source
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.len() > 4 && word.starts_with(|c: char| c.is_ascii_digit()))
            .map(|word| word.replace('_', "").parse().unwrap())
            .collect();
        assert!(told.len() > 50, "they are found: {told:?}");
        for code in told {
            assert!(advice(code).is_some(), "{code}");
        }
        assert_eq!(advice(0), None);
    }
}
