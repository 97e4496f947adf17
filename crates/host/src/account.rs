//! The accounts (user and group ids) under which apps run where the server is root: one for each app, never used again.
//!
//! Each installation on a machine has a block of its own ([`crate::HostKernel::account_block`]). Where it has another one than it had, as a
//! copy of it does at another place, no app runs under an account of the other block: it gets a new one when it is deployed again.
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

/// Is it one of this block?
pub(crate) const fn is_of(account: u32, block: u32) -> bool {
    match account.checked_sub(limits::ACCOUNT_FIRST) {
        Some(number) => number / limits::ACCOUNTS_MAX == block,
        None => false,
    }
}

impl Accounts {
    /// The next account, and the record by which it is taken. `None`: there is none left.
    pub(crate) fn take(before: Option<&Self>, block: u32) -> Option<(u32, Self)> {
        let given = before.map_or(0, |before| before.given);
        let is_left = given < limits::ACCOUNTS_MAX && block < limits::ACCOUNT_BLOCKS;
        let first = limits::ACCOUNT_FIRST + block * limits::ACCOUNTS_MAX;
        is_left.then(|| (first + given, Self { given: given + 1 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_given_once_and_end_before_the_next_block() {
        let (first, taken) = Accounts::take(None, 0).unwrap();
        let (second, _) = Accounts::take(Some(&taken), 0).unwrap();
        assert_eq!((first, second), (limits::ACCOUNT_FIRST, limits::ACCOUNT_FIRST + 1));
        let last = Accounts { given: limits::ACCOUNTS_MAX - 1 };
        assert!(Accounts::take(Some(&last), 0).unwrap().0 < Accounts::take(None, 1).unwrap().0);
        assert!(Accounts::take(Some(&Accounts { given: limits::ACCOUNTS_MAX }), 0).is_none());
        assert!(Accounts::take(None, limits::ACCOUNT_BLOCKS).is_none());
        assert!(is_of(first, 0) && !is_of(first, 1) && !is_of(0, 0));
        let highest = Accounts::take(Some(&last), limits::ACCOUNT_BLOCKS - 1).unwrap().0;
        assert!(is_of(highest, limits::ACCOUNT_BLOCKS - 1));
        assert!(highest < 1 << 31, "positive as a signed number");
    }
}
