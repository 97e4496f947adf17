//! What clients know of one user's sign-ins, and so what their codes and tokens must and must not do.
//!
//! A model of its own: it numbers sessions, grants and passwords as it hears of them and looks into no token. What is over is a switch of
//! the [`Ledger`] that never comes back; what somebody has *begun* to end is in doubt from then on, and only what is in no doubt at all must
//! be answered.

use crate::ledger::{Ledger, Watch};
use std::collections::BTreeSet;

/// More ids than this end everything of before at the product (`limits::REVOCATIONS_MAX`), so that all is in doubt.
const ENDINGS_MAX: u32 = 30;
/// Seconds for which a refresh token is good after it was replaced: [`domain::limits`] says so too, and here it is what was promised.
const GRACE: i64 = 30;

/// A sign-in in one browser.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) cookie: String,
    /// By which password, if by one.
    password: Option<usize>,
    /// When the browser is asked again.
    pub(crate) expires: i64,
    /// Shown to sign out.
    pub(crate) id_token: Option<String>,
}

/// A code that a client was given.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) text: String,
    pub(crate) session: usize,
    expires: i64,
    tries: u32,
    grant: Option<usize>,
    /// Somebody was told that it had been redeemed.
    is_reused: bool,
}

/// What a code has brought: refresh tokens, each of which brings one other, and access tokens.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) session: usize,
    /// Refresh tokens in the order of their coming.
    pub(crate) refresh: Vec<Refresh>,
    pub(crate) access: Vec<String>,
}

/// A refresh token.
#[derive(Clone)]
pub(crate) struct Refresh {
    pub(crate) text: String,
    /// When each use began that may have replaced it.
    tries: Vec<i64>,
    /// How many uses of it are going on.
    running: u32,
    /// Which other one it has brought, and by when.
    next: Option<(String, i64)>,
}

/// An answer to whoever has used something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was worth something.
    Good,
    /// It was not, by these words.
    Refused { is_reuse: bool, is_clients: bool },
    /// Nobody knows.
    Unknown,
}

/// A use that was begun.
pub(crate) struct Use {
    watch: Watch,
    /// Was it known to be used up by then?
    is_spent: bool,
    /// When it began.
    began: i64,
}

/// All of them.
#[derive(Default)]
pub(crate) struct SignIns {
    pub(crate) sessions: Vec<Session>,
    pub(crate) codes: Vec<Code>,
    pub(crate) grants: Vec<Grant>,
    /// In the order of their being set, known or not.
    pub(crate) passwords: Vec<String>,
    doubted: BTreeSet<String>,
    endings: u32,
    /// Whether sign-ins of the user are being ended right now, and how often that was begun.
    pub(crate) is_shaken: bool,
    shakes: u32,
}

pub(crate) fn session(number: usize) -> String {
    format!("session {number}")
}

pub(crate) fn grant(number: usize) -> String {
    format!("grant {number}")
}

pub(crate) fn password(number: usize) -> String {
    format!("password {number}")
}

impl SignIns {
    /// Somebody begins to end this, or may do so unknowingly.
    pub(crate) fn doubt(&mut self, name: String) {
        self.doubted.insert(name);
        self.endings += 1;
        if self.endings > ENDINGS_MAX {
            self.shake();
            self.is_shaken = true;
        }
    }

    /// All sign-ins of the user are about to end, or to be worth nothing for a while. Answers which are known.
    pub(crate) fn shake(&mut self) -> Vec<String> {
        self.is_shaken = true;
        self.shakes += 1;
        let known: Vec<_> = (0..self.sessions.len()).map(session).collect();
        self.doubted.extend(known.iter().cloned());
        known
    }

    /// It is over, and what begins from now on is in no doubt by it.
    pub(crate) fn calm(&mut self) {
        self.shakes += 1;
        self.is_shaken = self.endings > ENDINGS_MAX;
    }

    /// How often all was shaken or calmed: more at the end of a sign-in than at its beginning leaves it in doubt.
    pub(crate) const fn shakes(&self) -> u32 {
        self.shakes
    }

    /// Is nothing of this in doubt?
    pub(crate) fn is_sure(&self, names: &[String]) -> bool {
        // Of several uses of one token each may be the one that comes too late, and ends the grant.
        let is_suspect = |token: &Refresh| token.running > 0 && token.tries.len() > 1;
        let grants = self.grants.iter().enumerate();
        let mut suspects =
            grants.filter(|(_, grant)| grant.refresh.iter().any(is_suspect)).map(|(number, _)| grant(number));
        !names.iter().any(|name| self.doubted.contains(name)) && !suspects.any(|name| names.contains(&name))
    }

    /// Somebody has signed in.
    pub(crate) fn begun(
        &mut self,
        shakes: u32,
        cookie: &str,
        password: Option<usize>,
        expires: i64,
    ) -> usize {
        let number = self.sessions.len();
        if self.is_shaken || self.shakes != shakes {
            self.doubted.insert(session(number));
        }
        self.sessions.push(Session { cookie: cookie.to_owned(), password, expires, id_token: None });
        number
    }

    /// What a session stands on.
    pub(crate) fn under_session(&self, number: usize) -> Vec<String> {
        let by = self.sessions.get(number).and_then(|session| session.password);
        [session(number)].into_iter().chain(by.map(password)).collect()
    }

    /// The session that a grant is of.
    pub(crate) fn session_of(&self, number: usize) -> Option<String> {
        self.grants.get(number).map(|grant| session(grant.session))
    }

    /// What a grant stands on.
    pub(crate) fn under_grant(&self, number: usize) -> Vec<String> {
        let of = self.grants.get(number).map(|grant| self.under_session(grant.session));
        [grant(number)].into_iter().chain(of.unwrap_or_default()).collect()
    }

    pub(crate) fn issued(&mut self, text: String, session: usize, expires: i64) {
        self.codes.push(Code { text, session, expires, tries: 0, grant: None, is_reused: false });
    }

    /// Somebody redeems a code.
    pub(crate) fn redeeming(&mut self, ledger: &Ledger, number: usize, now: i64) -> Option<Use> {
        let code = self.codes.get_mut(number)?;
        code.tries += 1;
        let (grant_of, is_again) = (code.grant, code.tries > 1);
        if let Some(number) = grant_of.filter(|_| is_again) {
            self.doubt(grant(number));
        }
        Some(Use { watch: ledger.watch(), is_spent: grant_of.is_some(), began: now })
    }

    /// What came of it. Answers the number of the new grant.
    pub(crate) fn redeemed(
        &mut self,
        ledger: &mut Ledger,
        number: usize,
        used: &Use,
        told: Told,
        now: i64,
    ) -> Option<usize> {
        let code = self.codes.get(number)?.clone();
        let on = self.under_session(code.session);
        match told {
            Told::Good => {
                if code.grant.is_some() || used.is_spent {
                    ledger.violated(format!("code {number} was redeemed twice"));
                }
                ledger.succeeded("redeeming a code", &used.watch, &on);
                let made = self.grants.len();
                self.grants.push(Grant { session: code.session, refresh: Vec::new(), access: Vec::new() });
                if code.tries > 1 {
                    self.doubt(grant(made));
                }
                if code.is_reused {
                    ledger.gone(&grant(made));
                }
                self.codes.get_mut(number)?.grant = Some(made);
                return Some(made);
            }
            Told::Refused { is_reuse, is_clients: false } => {
                if is_reuse || (used.is_spent && now < code.expires) {
                    ledger.count("codes used twice");
                    self.codes.get_mut(number)?.is_reused = true;
                    if let Some(made) = code.grant {
                        ledger.gone(&grant(made));
                    }
                }
                if code.tries == 1 && now < code.expires && self.is_sure(&on) {
                    ledger
                        .violated(format!("code {number} was refused, and nobody had ended anything of it"));
                }
            }
            Told::Refused { .. } => {}
            Told::Unknown => self.codes.get_mut(number)?.tries += 1,
        }
        None
    }

    /// A grant has brought these.
    pub(crate) fn brought(&mut self, ledger: &mut Ledger, number: usize, refresh: String, access: String) {
        ledger.hide(refresh.split('.').next_back().unwrap_or_default());
        ledger.hide(&access);
        if let Some(grant) = self.grants.get_mut(number) {
            if !grant.refresh.iter().any(|known| known.text == refresh) {
                grant.refresh.push(Refresh { text: refresh, tries: Vec::new(), running: 0, next: None });
            }
            grant.access.push(access);
        }
    }

    fn refresh_token(&mut self, number: usize, which: usize) -> Option<&mut Refresh> {
        self.grants.get_mut(number)?.refresh.get_mut(which)
    }

    /// Somebody uses a refresh token, or gives it up.
    pub(crate) fn refreshing(
        &mut self,
        ledger: &Ledger,
        number: usize,
        which: usize,
        now: i64,
    ) -> Option<Use> {
        let token = self.refresh_token(number, which)?;
        let is_spent = token.next.as_ref().is_some_and(|(_, replaced)| now - replaced >= GRACE);
        token.tries.push(now);
        token.running += 1;
        Some(Use { watch: ledger.watch(), is_spent, began: now })
    }

    /// What came of using it: which other one, or itself, if it was good.
    pub(crate) fn refreshed(
        &mut self,
        ledger: &mut Ledger,
        (number, which): (usize, usize),
        used: &Use,
        (told, brought): (Told, &str),
        now: i64,
    ) {
        let on = self.under_grant(number);
        let Some(token) = self.refresh_token(number, which) else { return };
        token.running = token.running.saturating_sub(1);
        let mut others = token.tries.clone();
        if let Some(own) = others.iter().position(|began| *began == used.began) {
            others.swap_remove(own);
        }
        let is_shared = !others.is_empty();
        // It may have been replaced so long before this use that this was theft.
        let may_be_late = others.iter().any(|began| now - began >= GRACE);
        let is_sure = self.is_sure(&on);
        let Some(token) = self.refresh_token(number, which) else { return };
        match told {
            Told::Good => {
                if used.is_spent {
                    ledger.violated(format!(
                        "refresh token {which} of grant {number} was worth something long after it was replaced"
                    ));
                }
                if brought == token.text {
                    token.tries = others;
                } else {
                    let (next, _) = token.next.get_or_insert_with(|| (brought.to_owned(), now));
                    if next != brought {
                        ledger
                            .violated(format!("refresh token {which} of grant {number} brought two others"));
                    }
                }
                ledger.succeeded("a refresh", &used.watch, &on);
                ledger.count(match (is_sure, is_shared) {
                    (true, true) => "refreshes by a shared token that had to be answered",
                    (true, false) => "refreshes that had to be answered",
                    (false, _) => "refreshes",
                });
            }
            Told::Refused { is_reuse, is_clients: false } => {
                if is_reuse || used.is_spent {
                    ledger.count("refresh tokens used long after they were replaced");
                    ledger.gone(&grant(number));
                }
                if is_sure && !may_be_late {
                    let what = format!(
                        "refresh token {which} of grant {number} was refused, and nobody had ended anything of it"
                    );
                    ledger.violated(what);
                }
                if may_be_late {
                    self.doubt(grant(number));
                }
            }
            Told::Refused { .. } => {}
            Told::Unknown if may_be_late => self.doubt(grant(number)),
            Told::Unknown => {}
        }
    }

    /// It was given up, which was acknowledged.
    pub(crate) fn given_up(&self, ledger: &mut Ledger, number: usize, which: usize) {
        let given_up = self.grants.get(number).and_then(|grant| grant.refresh.get(which));
        // Somebody else's use meanwhile may have made another one of it.
        if given_up.is_some_and(|token| token.tries.len() == 1 && token.next.is_none()) {
            ledger.count("refresh tokens given up");
            ledger.gone(&grant(number));
        }
    }
}
