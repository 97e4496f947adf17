//! The accounts (user and group ids) under which apps run where the server is root: one for each app, never used again.
//!
//! Source: systemd, "Users, Groups, UIDs and GIDs": 1879048192 to 2147483647 is used by nothing there, and no range of sub-ids lies in it.

use domain::limits;
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// How many accounts were given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accounts {
    given: u32,
}

impl Record for Accounts {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("app-accounts")
    }
}

impl Accounts {
    /// The next account, and the record by which it is taken. `None`: there is none left.
    pub(crate) fn take(before: Option<&Self>) -> Option<(u32, Self)> {
        let given = before.map_or(0, |before| before.given);
        (given < limits::ACCOUNTS_MAX).then(|| (limits::ACCOUNT_FIRST + given, Self { given: given + 1 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_given_once_and_end() {
        let (first, taken) = Accounts::take(None).unwrap();
        let (second, _) = Accounts::take(Some(&taken)).unwrap();
        assert_eq!((first, second), (limits::ACCOUNT_FIRST, limits::ACCOUNT_FIRST + 1));
        assert!(Accounts::take(Some(&Accounts { given: limits::ACCOUNTS_MAX })).is_none());
        assert!(limits::ACCOUNT_FIRST.checked_add(limits::ACCOUNTS_MAX).is_some_and(|last| last < 1 << 31));
    }
}
