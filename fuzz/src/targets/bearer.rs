//! Access tokens: as they come, or as changes of a genuine one (a first byte of 1). Nothing is accepted but the genuine token itself.

use crate::{edits, support::NOW, world};
use crypt::jws;
use domain::Secret;

/// One token.
pub(crate) fn check(data: &[u8]) {
    world::with(|server| {
        let bytes = match data.split_first() {
            Some((1, changes)) => edits::apply(server.token.as_bytes(), changes),
            _ => crate::request::named(server, data),
        };
        let Ok(token) = String::from_utf8(bytes) else { return };
        let is_genuine = token == server.token;
        let ring = server.world.state.directory.ring();
        let verified = jws::verify(&token, |kid| access::KeySource::public_key(&*ring, kid));
        assert_eq!(verified.is_ok(), is_genuine, "{token}: {verified:?}");
        let caller = server.world.state.verifiers.vaults.verify(&Secret::new(token), &*ring, NOW);
        assert_eq!(caller.is_ok(), is_genuine);
    });
}
