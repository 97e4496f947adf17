//! How often passwords and codes may be guessed: a pure decision over the time that is passed in.
//!
//! Each thing that is counted is one time: when all its tries so far will be forgotten (GCRA). A try moves it on by what one costs; a try
//! that would move it further than a burst ahead of now must wait. A try is counted when it begins, so that many at once are no way
//! around, and given back if it was right.
//!
//! Who tries at a name from one address locks out that name for that address. Who tries from many addresses locks it out for every
//! address, but for those that the user has signed in from since the server started: the owner is not locked out by strangers.
//! All of it is in memory and bounded. When a table is full the entry goes that has the least to wait for, so that a flood of names
//! with one try each does not wash out the ones that are locked.

use domain::{Timestamp, limits};
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What is guessed at: the hash of a user name, whether or not there is such a user.
pub(crate) type Subject = crypt::Sha256Hash;

/// An address as far as it tells people apart: of IPv6 the half that a network gives to one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place(Option<IpAddr>);

impl Place {
    fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
            v4 @ IpAddr::V4(_) => v4,
        }))
    }
}

/// How much of something is let through.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    each: Duration,
}

const OF_PAIR: Rate = Rate { burst: limits::GUESSES_MAX, each: limits::GUESS_TIME };
const OF_NAME: Rate = Rate { burst: limits::GUESSES_OF_NAME_MAX, each: limits::GUESS_OF_NAME_TIME };
const OF_PLACE: Rate = Rate { burst: limits::GUESSES_OF_ADDRESS_MAX, each: limits::GUESS_OF_ADDRESS_TIME };

/// Times until which something is counted, at most so many.
struct Table<K>(HashMap<K, Timestamp>);

impl<K: Copy + Eq + Hash> Table<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Seconds to wait before one more; 0: none.
    fn wait(&self, key: &K, rate: Rate, now: Timestamp) -> i64 {
        let ahead = self.0.get(key).map_or(0, |until| until.seconds_since(now));
        let room = seconds(rate.each).saturating_mul(i64::from(rate.burst.saturating_sub(1)));
        ahead.saturating_sub(room).max(0)
    }

    fn count(&mut self, key: K, rate: Rate, now: Timestamp) {
        let until = self.0.get(&key).copied().unwrap_or(now).max(now).plus(rate.each);
        self.set(key, until, now);
    }

    /// Takes one try back.
    fn uncount(&mut self, key: &K, rate: Rate, now: Timestamp) {
        let Some(until) = self.0.get_mut(key) else { return };
        *until = until.minus(rate.each);
        if *until <= now {
            self.0.remove(key);
        }
    }

    fn set(&mut self, key: K, until: Timestamp, now: Timestamp) {
        if self.0.len() >= limits::GUESSED_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= limits::GUESSED_MAX
                && let Some(least) = self.0.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
            {
                self.0.remove(&least);
            }
        }
        self.0.insert(key, until);
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

struct Tables {
    pairs: Table<(Subject, Place)>,
    names: Table<Subject>,
    places: Table<Place>,
    /// From where who has signed in. Times are of the last sign-in: the oldest goes first.
    familiar: Table<(Subject, Place)>,
}

/// All that is counted.
pub(crate) struct Guesses(Mutex<Tables>);

/// One try that has been let through and counted.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Try {
    subject: Subject,
    place: Place,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        let tables =
            Tables { pairs: Table::new(), names: Table::new(), places: Table::new(), familiar: Table::new() };
        Self(Mutex::new(tables))
    }

    /// Lets one try through and counts it, or says for how many seconds to wait; then nothing is counted.
    pub(crate) fn begin(
        &self,
        subject: Subject,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Try, u64> {
        let place = Place::of(address);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (subject, place);
        let is_familiar = tables.familiar.0.contains_key(&pair);
        let of_name = if is_familiar { 0 } else { tables.names.wait(&subject, OF_NAME, now) };
        // No address is not one: it would be everybody's.
        let of_place = if place.0.is_some() { tables.places.wait(&place, OF_PLACE, now) } else { 0 };
        let wait = tables.pairs.wait(&pair, OF_PAIR, now).max(of_name).max(of_place);
        if wait > 0 {
            return Err(u64::try_from(wait).unwrap_or_default());
        }
        tables.pairs.count(pair, OF_PAIR, now);
        if !is_familiar {
            tables.names.count(subject, OF_NAME, now);
        }
        if place.0.is_some() {
            tables.places.count(place, OF_PLACE, now);
        }
        Ok(Try { subject, place })
    }

    /// It was right, or was not tried after all: it is not counted.
    pub(crate) fn take_back(&self, Try { subject, place }: Try, now: Timestamp) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (subject, place);
        tables.pairs.uncount(&pair, OF_PAIR, now);
        if !tables.familiar.0.contains_key(&pair) {
            tables.names.uncount(&subject, OF_NAME, now);
        }
        tables.places.uncount(&place, OF_PLACE, now);
    }

    /// Whoever is there has signed in: the wrong tries at this name from there are forgotten, and the place is known.
    pub(crate) fn signed_in(&self, subject: Subject, address: Option<IpAddr>, now: Timestamp) {
        let place = Place::of(address);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.pairs.0.remove(&(subject, place));
        // A place that nobody can name would make everybody familiar.
        if place.0.is_some() {
            // Entries of the past go first when the table is full.
            tables.familiar.set((subject, place), now, Timestamp::from_seconds(i64::MIN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn name(text: &str) -> Subject {
        crypt::sha256(text)
    }

    fn at(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn wrong(guesses: &Guesses, who: &str, from: &str, now: Timestamp) -> Result<(), u64> {
        guesses.begin(name(who), at(from), now).map(drop)
    }

    #[test]
    fn a_name_from_one_address_has_five_tries_and_then_one_a_minute() {
        let guesses = Guesses::new();
        for _ in 0..5 {
            assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Err(60));
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", later(59)), Err(1), "asking costs nothing");
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", later(60)), Ok(()));
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", later(60)), Err(60));
        assert_eq!(wrong(&guesses, "alice", "192.0.2.2", NOW), Ok(()), "another address");
        assert_eq!(wrong(&guesses, "bob", "192.0.2.1", NOW), Ok(()), "another name");
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", later(60 + 5 * 60)), Ok(()), "all is forgotten");
    }

    #[test]
    fn strangers_everywhere_lock_a_name_but_not_for_where_its_owner_was() {
        let guesses = Guesses::new();
        guesses.signed_in(name("alice"), at("198.51.100.1"), NOW);
        for stranger in 0..30 {
            assert_eq!(wrong(&guesses, "alice", &format!("192.0.2.{stranger}"), NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "alice", "192.0.2.99", NOW), Err(30));
        assert_eq!(wrong(&guesses, "alice", "198.51.100.2", NOW), Err(30), "where nobody has signed in");
        for _ in 0..5 {
            assert_eq!(wrong(&guesses, "alice", "198.51.100.1", NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "alice", "198.51.100.1", NOW), Err(60), "familiar is not boundless");
        assert_eq!(wrong(&guesses, "bob", "192.0.2.99", NOW), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_must_wait() {
        let guesses = Guesses::new();
        for user in 0..50 {
            assert_eq!(wrong(&guesses, &user.to_string(), "192.0.2.1", NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Err(20));
        assert_eq!(wrong(&guesses, "alice", "::ffff:192.0.2.1", NOW), Err(20), "the same, written as IPv6");
        assert_eq!(wrong(&guesses, "alice", "192.0.2.2", NOW), Ok(()));
        for user in 0..50 {
            assert_eq!(wrong(&guesses, &user.to_string(), &format!("2001:db8::{user}"), NOW), Ok(()));
        }
        assert_eq!(wrong(&guesses, "alice", "2001:db8::ffff", NOW), Err(20), "one network");
        assert_eq!(wrong(&guesses, "alice", "2001:db8:0:1::1", NOW), Ok(()));
    }

    #[test]
    fn right_ones_are_not_counted() {
        let guesses = Guesses::new();
        for _ in 0..200 {
            let right = guesses.begin(name("alice"), at("192.0.2.1"), NOW).unwrap();
            guesses.take_back(right, NOW);
        }
        for _ in 0..4 {
            assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Ok(()));
        }
        guesses.signed_in(name("alice"), at("192.0.2.1"), NOW);
        for _ in 0..5 {
            assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Ok(()), "begun anew");
        }
    }

    #[test]
    fn many_names_take_no_more_memory_and_free_nobody() {
        let guesses = Guesses::new();
        for _ in 0..5 {
            assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Ok(()));
        }
        let mut number = 0_u32;
        while number < u32::try_from(limits::GUESSED_MAX).unwrap() + 500 {
            number += 1;
            let from = IpAddr::V4((0x0a00_0000 + number).into());
            assert!(guesses.begin(name(&number.to_string()), Some(from), NOW).is_ok());
        }
        assert_eq!(wrong(&guesses, "alice", "192.0.2.1", NOW), Err(60));
        let tables = guesses.0.lock().unwrap();
        assert!(tables.pairs.0.len() <= limits::GUESSED_MAX && tables.names.0.len() <= limits::GUESSED_MAX);
        assert!(tables.places.0.len() <= limits::GUESSED_MAX);
    }

    #[test]
    fn tries_of_no_address_make_nobody_else_wait() {
        let guesses = Guesses::new();
        for user in 0..200 {
            for _ in 0..5 {
                assert!(guesses.begin(name(&user.to_string()), None, NOW).is_ok());
            }
            assert_eq!(guesses.begin(name(&user.to_string()), None, NOW).map(drop), Err(60));
        }
    }

    #[test]
    fn unknown_addresses_are_one_place_that_is_never_familiar() {
        let guesses = Guesses::new();
        guesses.signed_in(name("alice"), None, NOW);
        for _ in 0..5 {
            assert!(guesses.begin(name("alice"), None, NOW).is_ok());
        }
        assert_eq!(guesses.begin(name("alice"), None, NOW).map(drop), Err(60));
        for stranger in 0..25 {
            assert_eq!(wrong(&guesses, "alice", &format!("192.0.2.{stranger}"), NOW), Ok(()));
        }
        assert_eq!(guesses.begin(name("alice"), None, later(600)).map(drop), Ok(()));
    }
}
