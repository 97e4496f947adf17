//! What only keys have, by method and path. Pure.

use super::super::route::{Asked, RouteFault, object_name, object_version, wrong_method};
use domain::{ObjectName, ObjectVersion};
use http::Method;
use vault::KeyOp;

/// What only keys have.
#[derive(Debug)]
pub(in super::super) enum KeyOperation {
    Create { name: ObjectName },
    Import { name: ObjectName },
    Get { name: ObjectName, version: Option<ObjectVersion> },
    Update { name: ObjectName, version: Option<ObjectVersion> },
    Rotate { name: ObjectName },
    GetRotationPolicy { name: ObjectName },
    SetRotationPolicy { name: ObjectName },
    Use { name: ObjectName, version: Option<ObjectVersion>, operation: KeyUse },
    Release { name: ObjectName, version: Option<ObjectVersion> },
    GetAttestation { name: ObjectName, version: Option<ObjectVersion> },
    RandomBytes,
}

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum KeyUse {
    Encrypt,
    Decrypt,
    Sign,
    Verify,
    WrapKey,
    UnwrapKey,
}

impl KeyUse {
    /// By the last segment of a path, in which case matters and all are lower.
    fn of(segment: &str) -> Option<Self> {
        Some(match segment {
            "encrypt" => Self::Encrypt,
            "decrypt" => Self::Decrypt,
            "sign" => Self::Sign,
            "verify" => Self::Verify,
            "wrapkey" => Self::WrapKey,
            "unwrapkey" => Self::UnwrapKey,
            _ => return None,
        })
    }

    /// As `key_ops` and refusals call it.
    pub(in super::super) const fn op(self) -> KeyOp {
        match self {
            Self::Encrypt => KeyOp::Encrypt,
            Self::Decrypt => KeyOp::Decrypt,
            Self::Sign => KeyOp::Sign,
            Self::Verify => KeyOp::Verify,
            Self::WrapKey => KeyOp::WrapKey,
            Self::UnwrapKey => KeyOp::UnwrapKey,
        }
    }
}

impl Asked<'_> {
    /// What only keys have below `/keys`. An empty version between two slashes is the latest, and so is none at all before what is done with
    /// a key: the SDK for Go makes one slash of two.
    pub(in super::super) fn of_keys(self, rest: &[&str]) -> Result<KeyOperation, RouteFault> {
        let version_of = |text: &str| if text.is_empty() { Ok(None) } else { object_version(text).map(Some) };
        // No version is called so.
        let is_done = |text: &str| matches!(text, "release" | "attestation") || KeyUse::of(text).is_some();
        if let [name, last] = rest
            && is_done(last)
        {
            return self.of_keys(&[name, "", last]);
        }
        match (self.method, rest) {
            (&Method::POST, [name, "create"]) => Ok(KeyOperation::Create { name: object_name(name)? }),
            (&Method::POST, [name, "rotate"]) => Ok(KeyOperation::Rotate { name: object_name(name)? }),
            (&Method::GET, [name, "rotationpolicy"]) => {
                Ok(KeyOperation::GetRotationPolicy { name: object_name(name)? })
            }
            (&Method::PUT, [name, "rotationpolicy"]) => {
                Ok(KeyOperation::SetRotationPolicy { name: object_name(name)? })
            }
            (method, [_, "rotationpolicy"]) => Err(wrong_method(method, "GET, PUT")),
            (method, [_, "create" | "rotate" | "backup"]) => Err(wrong_method(method, "POST")),
            (&Method::PUT, [name]) => Ok(KeyOperation::Import { name: object_name(name)? }),
            (&Method::GET, [name]) => Ok(KeyOperation::Get { name: object_name(name)?, version: None }),
            (&Method::PATCH, [name]) => Ok(KeyOperation::Update { name: object_name(name)?, version: None }),
            (method, [name]) => {
                object_name(name)?;
                Err(wrong_method(method, "DELETE, GET, PATCH, PUT"))
            }
            (&Method::GET, [name, version]) => {
                Ok(KeyOperation::Get { name: object_name(name)?, version: Some(object_version(version)?) })
            }
            (&Method::PATCH, [name, version]) => {
                Ok(KeyOperation::Update { name: object_name(name)?, version: Some(object_version(version)?) })
            }
            (method, [name, version]) => {
                object_name(name)?;
                object_version(version)?;
                Err(wrong_method(method, "GET, PATCH"))
            }
            (&Method::POST, [name, version, "release"]) => {
                Ok(KeyOperation::Release { name: object_name(name)?, version: version_of(version)? })
            }
            (&Method::GET, [name, version, "attestation"]) => {
                Ok(KeyOperation::GetAttestation { name: object_name(name)?, version: version_of(version)? })
            }
            (method, [_, _, "release"]) => Err(wrong_method(method, "POST")),
            (method, [_, _, "attestation"]) => Err(wrong_method(method, "GET")),
            (method, [name, version, last]) => match (KeyUse::of(last), method) {
                (Some(operation), &Method::POST) => Ok(KeyOperation::Use {
                    name: object_name(name)?,
                    version: version_of(version)?,
                    operation,
                }),
                (Some(_), method) => Err(wrong_method(method, "POST")),
                (None, _) => Err(RouteFault::NoSuchPath),
            },
            _ => Err(RouteFault::NoSuchPath),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::route::{Operation, route};
    use super::*;

    const VERSION: &str = "0123456789abcdef0123456789abcdef";

    fn ask(method: &Method, path: &str) -> Result<KeyOperation, RouteFault> {
        match route(method, path, Some("api-version=7.4"))?.operation {
            Operation::Key(operation) => Ok(operation),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_done_with_a_key_is_done_with_the_latest_where_no_version_stands() {
        for (word, expected) in [
            ("encrypt", KeyUse::Encrypt),
            ("decrypt", KeyUse::Decrypt),
            ("sign", KeyUse::Sign),
            ("verify", KeyUse::Verify),
            ("wrapkey", KeyUse::WrapKey),
            ("unwrapkey", KeyUse::UnwrapKey),
        ] {
            for between in ["/", "//"] {
                let asked = ask(&Method::POST, &format!("/keys/db{between}{word}")).unwrap();
                assert!(
                    matches!(&asked, KeyOperation::Use { name, version: None, operation } if name.as_str() == "db" && *operation == expected),
                    "{asked:?}"
                );
            }
        }
        for path in ["/keys/db/release", "/keys/db//release", "/keys/release/release"] {
            let asked = ask(&Method::POST, path);
            assert!(matches!(asked, Ok(KeyOperation::Release { version: None, .. })), "{path}: {asked:?}");
        }
        for path in ["/keys/db/attestation", "/keys/db//attestation"] {
            let asked = ask(&Method::GET, path);
            assert!(matches!(asked, Ok(KeyOperation::GetAttestation { version: None, .. })), "{asked:?}");
        }
        // A key may be called so, and a version stands where it stood.
        let asked = ask(&Method::POST, &format!("/keys/sign/{VERSION}/sign"));
        assert!(matches!(asked, Ok(KeyOperation::Use { version: Some(_), .. })), "{asked:?}");
        assert!(matches!(ask(&Method::GET, "/keys/sign"), Ok(KeyOperation::Get { version: None, .. })));
    }

    #[test]
    fn one_slash_is_refused_as_two_are() {
        for word in ["encrypt", "decrypt", "sign", "verify", "wrapkey", "unwrapkey", "release", "attestation"]
        {
            let wrong = [Method::PATCH, if word == "attestation" { Method::POST } else { Method::GET }];
            for method in wrong {
                let one = ask(&method, &format!("/keys/db/{word}")).unwrap_err();
                let two = ask(&method, &format!("/keys/db//{word}")).unwrap_err();
                assert!(matches!(one, RouteFault::MethodNotAllowed { .. }), "{word}: {one:?}");
                assert_eq!(one, two);
            }
            let method = if word == "attestation" { Method::GET } else { Method::POST };
            let fault = ask(&method, &format!("/keys/a_b/{word}")).unwrap_err();
            assert!(matches!(fault, RouteFault::BadName { .. }), "{word}: {fault:?}");
        }
        // What is neither is a version that nobody has.
        for word in ["wrapKey", "signs", "latest"] {
            let fault = ask(&Method::POST, &format!("/keys/db/{word}")).unwrap_err();
            assert!(matches!(fault, RouteFault::BadVersion { .. }), "{word}: {fault:?}");
        }
    }
}
