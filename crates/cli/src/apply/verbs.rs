//! The verbs of an access policy, in the order in which the server tells them, so that two are alike if their texts are.

use domain::{CertificatePermission, KeyPermission, Permission, SecretPermission};
use serde::{Deserialize, Serialize};

/// What a policy allows, by kind of object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Verbs {
    secrets: Vec<String>,
    keys: Vec<String>,
    certificates: Vec<String>,
}

impl Verbs {
    /// Of words as people write them; `all` is every one.
    pub(super) fn parse(
        secrets: &[String],
        keys: &[String],
        certificates: &[String],
    ) -> Result<Self, String> {
        Ok(Self {
            secrets: one::<SecretPermission>("secrets", secrets)?,
            keys: one::<KeyPermission>("keys", keys)?,
            certificates: one::<CertificatePermission>("certificates", certificates)?,
        })
    }

    /// Is nothing allowed?
    pub(super) const fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.keys.is_empty() && self.certificates.is_empty()
    }

    /// In words: `secrets get,list; keys all`.
    pub(super) fn told(&self) -> String {
        let parts = [
            part::<SecretPermission>("secrets", &self.secrets),
            part::<KeyPermission>("keys", &self.keys),
            part::<CertificatePermission>("certificates", &self.certificates),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// What is another than before, in words: `secrets get -> get,list`.
    pub(super) fn change(&self, to: &Self) -> String {
        let parts = [
            changed::<SecretPermission>("secrets", &self.secrets, &to.secrets),
            changed::<KeyPermission>("keys", &self.keys, &to.keys),
            changed::<CertificatePermission>("certificates", &self.certificates, &to.certificates),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

fn one<V: Permission>(kind: &str, words: &[String]) -> Result<Vec<String>, String> {
    let mut named = Vec::with_capacity(words.len());
    for word in words {
        if word.eq_ignore_ascii_case("all") {
            named.extend(V::ALL.iter().map(ToString::to_string));
        } else {
            let verb: V = word.parse().map_err(|error: domain::NameError| {
                format!("what a policy allows of {kind} is {}, or all", error.rule)
            })?;
            named.push(verb.to_string());
        }
    }
    let ordered = V::ALL.iter().map(ToString::to_string).filter(|verb| named.contains(verb));
    Ok(ordered.collect())
}

fn words<V: Permission>(verbs: &[String]) -> String {
    match verbs {
        [] => "nothing".to_owned(),
        all if all.len() == V::ALL.len() => "all".to_owned(),
        some => some.join(","),
    }
}

fn part<V: Permission>(kind: &str, verbs: &[String]) -> Option<String> {
    (!verbs.is_empty()).then(|| format!("{kind} {}", words::<V>(verbs)))
}

fn changed<V: Permission>(kind: &str, before: &[String], after: &[String]) -> Option<String> {
    (before != after).then(|| format!("{kind} {} -> {}", words::<V>(before), words::<V>(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(secrets: &[&str], keys: &[&str]) -> Verbs {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Verbs::parse(&owned(secrets), &owned(keys), &[]).unwrap()
    }

    #[test]
    fn verbs_are_alike_in_whatever_order_they_are_written() {
        assert_eq!(of(&["LIST", "get", "get"], &[]), of(&["get", "list"], &[]));
        assert_eq!(of(&["all"], &[]).secrets.len(), SecretPermission::ALL.len());
        assert!(Verbs::parse(&["sign".to_owned()], &[], &[]).unwrap_err().contains("secrets"));
    }

    #[test]
    fn verbs_and_their_changes_are_told_shortly() {
        assert_eq!(of(&["get", "list"], &["all"]).told(), "secrets get,list; keys all");
        let change = of(&["get"], &["sign"]).change(&of(&["get", "list"], &[]));
        assert_eq!(change, "secrets get -> get,list; keys sign -> nothing");
    }
}
