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
    /// What only keys have below `/keys`. An empty version between two slashes is the latest.
    pub(in super::super) fn of_keys(self, rest: &[&str]) -> Result<KeyOperation, RouteFault> {
        let version_of = |text: &str| if text.is_empty() { Ok(None) } else { object_version(text).map(Some) };
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
