//! `$filter` of role assignments and role definitions: terms joined by `and`. Pure.

use super::super::{
    error::ArmError,
    odata::{Term, terms},
};
use access::Definition;
use domain::PrincipalId;
use resource::roles::Which;

/// What is wanted of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    at_scope: bool,
    /// Also what can only be assigned in the place.
    pub(super) below: bool,
    principal: Option<String>,
    assigned_to: Option<String>,
    role_name: Option<String>,
    role_type: Option<String>,
}

impl Filter {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, ArmError> {
        let mut filter = Self::default();
        for term in terms(text)? {
            filter.take(term).ok_or_else(ArmError::bad_filter)?;
        }
        Ok(filter)
    }

    /// Takes one term, if it is one of these.
    fn take(&mut self, term: Term) -> Option<()> {
        let (name, value) = match term {
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScope") => {
                self.at_scope = true;
                return Some(());
            }
            Term::Call(name, None) if name.eq_ignore_ascii_case("atScopeAndBelow") => {
                self.below = true;
                return Some(());
            }
            Term::Call(name, value) if name.eq_ignore_ascii_case("assignedTo") => {
                self.assigned_to = Some(value?);
                return Some(());
            }
            Term::Call(..) => return None,
            Term::Is(name, value) => (name, value),
        };
        let field = match name.to_ascii_lowercase().as_str() {
            "principalid" => &mut self.principal,
            "rolename" => &mut self.role_name,
            "type" => &mut self.role_type,
            _ => return None,
        };
        *field = Some(value);
        Some(())
    }

    /// Which assignments it takes.
    pub(super) fn which(&self) -> Result<Which, ArmError> {
        let id = |text: &Option<String>| -> Result<Option<PrincipalId>, ArmError> {
            text.as_ref().map(|id| id.parse().map_err(|_| ArmError::bad_filter())).transpose()
        };
        Ok(Which { not_below: self.at_scope, of: id(&self.principal)?, counting_for: id(&self.assigned_to)? })
    }

    /// Does it take this role?
    pub(super) fn takes(&self, role: &Definition) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == found.to_lowercase())
        };
        is(&self.role_name, role.name()) && is(&self.role_type, super::definitions::kind(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_joined_by_and() {
        let id = "11111111-2222-4333-8444-555555555555";
        let which = |text: &str| Filter::parse(text).unwrap().which().unwrap();
        assert_eq!(which(""), Which::default());
        assert_eq!(which("atScope()"), Which { not_below: true, ..Which::default() });
        assert_eq!(which("atScopeAndBelow()"), Which::default());
        let of = Some(id.parse().unwrap());
        assert_eq!(which(&format!("principalId eq '{id}'")), Which { of, ..Which::default() });
        assert_eq!(
            which(&format!("atScope() and assignedTo('{id}')")),
            Which { not_below: true, counting_for: of, of: None }
        );
        assert_eq!(which(&format!("assignedTo('{id}')")), Which { counting_for: of, ..Which::default() });
        let named = Filter::parse("roleName eq 'Key Vault It''s and more' and type eq 'CustomRole'").unwrap();
        assert_eq!(named.role_name.as_deref(), Some("Key Vault It's and more"));
        let owner = Definition::BuiltIn(access::BUILT_IN_ROLES.first().unwrap());
        assert!(Filter::parse("rolename eq 'owner'").unwrap().takes(&owner));
        assert!(Filter::parse("type eq 'BuiltInRole'").unwrap().takes(&owner));
        assert!(!named.takes(&owner));
        for bad in [
            "x",
            "atScope",
            "atScope(",
            "atScope() and",
            "atScope() or atScope()",
            "name eq 'x'",
            "roleName ne 'x'",
            "roleName eq x",
            "roleName eq 'x",
            "assignedTo(x)",
            "assignedTo()",
            "atScope('x')",
            "é eq 'x'",
            "roleName eé'x'",
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
        assert!(Filter::parse("principalId eq 'me'").unwrap().which().is_err());
        assert!(Filter::parse(&format!("roleName eq '{}'", "x".repeat(1_000))).is_err());
    }
}
