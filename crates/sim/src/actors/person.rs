//! A person with a browser, and the client that acts in the person's name: signs in, gets codes and redeems them, refreshes, reads secrets and
//! signs out. Two of them are one user in two browsers and use each other's codes and tokens, as processes of one client do, or a thief.
//!
//! A password costs a hash that takes as long as all else of a run, so most sign-ins begin where the pages have checked everything.

use super::{both, of_principal, read_secret};
use crate::{
    executor::turns,
    sign_ins::{self, Told},
    world::{Answer, SECRETS, VAULTS, World},
};
use directory::session::Method;
use std::rc::Rc;

/// Rounds of a run.
const ROUNDS: u64 = 22;
pub(crate) const BACK: &str = "https://portal.example/back";
pub(crate) const SCOPE: &str = "openid offline_access https://vault.azure.net/user_impersonation";
const VERIFIER: &str = "a-verifier-of-the-simulation-that-is-long-enough";
/// Seconds: [`domain::limits`] says so too, and here it is what was promised.
const SESSION_LIFETIME: i64 = 86_400;
const CODE_LIFETIME: i64 = 300;

/// Lives and works.
pub(crate) async fn live(world: Rc<World>) {
    for _ in 0..ROUNDS {
        turns(&world.fate, 25).await;
        match world.fate.roll(24) {
            0 | 1 => {
                sign_in(&world).await;
            }
            2..=6 => {
                let known = world.sign_ins.borrow().sessions.len();
                if let Some(session) = newest(&world, known)
                    && let Some(code) = code(&world, session).await
                    && world.fate.chance(70)
                {
                    redeem(&world, code).await;
                }
            }
            7 | 8 => redeem_any(&world).await,
            9..=13 => {
                if let Some((grant, which)) = any_refresh_token(&world) {
                    if world.fate.chance(20) {
                        both(refresh(&world, grant, which), refresh(&world, grant, which)).await;
                    } else {
                        refresh(&world, grant, which).await;
                    }
                    // Another program that has read it before.
                    if world.fate.chance(20) {
                        world.clock.advance(i64::try_from(world.fate.roll(60)).unwrap_or_default());
                        refresh(&world, grant, which).await;
                    }
                }
            }
            14 | 15 => give_up(&world).await,
            16 | 17 => sign_out(&world).await,
            _ => read_any(&world).await,
        }
    }
}

/// One of so many, mostly the newest.
fn newest(world: &World, length: usize) -> Option<usize> {
    let all: Vec<usize> = (0..length).collect();
    if world.fate.chance(60) { all.last().copied() } else { world.fate.pick(&all).copied() }
}

/// Signs in, by a password if there is one and fate wants it so. Answers the number of the session.
pub(crate) async fn sign_in(world: &World) -> Option<usize> {
    let known = world.sign_ins.borrow().passwords.len();
    let by = newest(world, known);
    match by.filter(|_| world.fate.chance(40)) {
        Some(number) => by_password(world, number).await,
        None => directly(world).await,
    }
}

/// What is behind the pages: all that is needed was shown.
pub(crate) async fn directly(world: &World) -> Option<usize> {
    let user = world.stage.borrow().user.clone();
    let shakes = world.sign_ins.borrow().shakes();
    let watch = world.watch();
    let server = world.server()?;
    let now = world.now();
    let directory = &server.services.directory;
    let beginning = async {
        let person = directory.user(&user).await.ok()?;
        directory.begin_session(&person, &[Method::Passkey], None, now).await.ok()
    };
    let (cookie, _) = world.while_alive(&server, beginning).await??;
    Some(begun(world, &watch, shakes, cookie.expose(), None, now.seconds()))
}

fn begun(
    world: &World,
    watch: &crate::ledger::Watch,
    shakes: u32,
    cookie: &str,
    by: Option<usize>,
    now: i64,
) -> usize {
    let mut switches = of_principal(&world.stage.borrow().user).to_vec();
    switches.extend(by.map(sign_ins::password));
    let mut ledger = world.ledger.borrow_mut();
    ledger.succeeded("a sign-in", watch, &switches);
    ledger.hide(cookie.split('.').next_back().unwrap_or_default());
    let number = world.sign_ins.borrow_mut().begun(shakes, cookie, by, now + SESSION_LIFETIME);
    ledger.count(if by.is_some() { "sign-ins by a password" } else { "sign-ins" });
    ledger.tell(format!("somebody signs in by {by:?}: session {number}"));
    number
}

/// By the pages, with this password.
pub(crate) async fn by_password(world: &World, number: usize) -> Option<usize> {
    let text = world.sign_ins.borrow().passwords.get(number).cloned()?;
    let page = world.page("GET", &authorize(world), "", None).await.filter(Answer::is_success)?;
    let (html, cookie) = (page.html(), page.cookie("browser")?);
    let token = html.split_once("name=\"form_token\" value=\"")?.1.split('"').next()?;
    let form = format!("form_token={token}&step=password&username=ann&password={text}");
    let (watch, shakes, now) = (world.watch(), world.sign_ins.borrow().shakes(), world.now().seconds());
    let sent = format!("__Host-keyless-browser={cookie}");
    let answer = world.page("POST", &authorize(world), &sent, Some(form)).await?;
    world.ledger.borrow_mut().tell(format!("password {number} is typed: {}", answer.status));
    let session = answer.cookie("session").filter(|_| answer.is_success());
    if let Some(cookie) = session {
        return Some(begun(world, &watch, shakes, &cookie, Some(number), now));
    }
    let sign_ins = world.sign_ins.borrow();
    let is_sure = sign_ins.is_sure(&[sign_ins::password(number)]);
    if answer.status == 403 && is_sure && !sign_ins.is_shaken && sign_ins.shakes() == shakes {
        world
            .ledger
            .borrow_mut()
            .violated(format!("password {number} was refused, and nobody had set another"));
    }
    None
}

fn authorize(world: &World) -> String {
    let stage = world.stage.borrow();
    let challenge = crypt::encoding::base64url(crypt::sha256(VERIFIER).bytes());
    let scope = SCOPE.replace(' ', "%20");
    format!(
        "/{}/oauth2/v2.0/authorize?client_id={}&response_type=code&redirect_uri={BACK}&scope={scope}\
         &code_challenge={challenge}&code_challenge_method=S256",
        stage.tenant, stage.portal_client
    )
}

/// A code of a session. Answers its number.
pub(crate) async fn code(world: &World, session: usize) -> Option<usize> {
    let (known, watch) = (world.sign_ins.borrow().sessions.get(session).cloned()?, world.watch());
    let (now, sent) = (world.now().seconds(), format!("__Host-keyless-session={}", known.cookie));
    let answer = world.page("GET", &authorize(world), &sent, None).await?;
    let location = answer.location();
    let code = location.split_once("code=").map(|(_, rest)| rest.split('&').next().unwrap_or_default());
    world.ledger.borrow_mut().tell(format!("session {session} asks for a code: {}", answer.status));
    let on = world.sign_ins.borrow().under_session(session);
    if let Some(code) = code {
        let mut ledger = world.ledger.borrow_mut();
        let mut switches = of_principal(&world.stage.borrow().user).to_vec();
        switches.extend(on);
        ledger.succeeded("a request for a code", &watch, &switches);
        ledger.hide(code);
        ledger.count("codes");
        let mut sign_ins = world.sign_ins.borrow_mut();
        sign_ins.issued(code.to_owned(), session, now + CODE_LIFETIME);
        return Some(sign_ins.codes.len() - 1);
    }
    let is_refused = answer.is_success() || location.contains("error=login_required");
    let is_sure = world.sign_ins.borrow().is_sure(&on);
    if is_refused && is_sure && world.now().seconds() < known.expires {
        let what = format!("session {session} was not known any more, and nobody had ended it");
        world.ledger.borrow_mut().violated(what);
    }
    None
}

async fn redeem_any(world: &World) {
    let known = world.sign_ins.borrow().codes.len();
    let Some(code) = newest(world, known) else { return };
    if world.fate.chance(30) {
        both(redeem(world, code), redeem(world, code)).await;
    } else {
        redeem(world, code).await;
    }
}

/// A form of the client at the token service. Answers what the client was told, with the answer if it was good.
async fn ask(world: &World, path: &str, rest: &str) -> (Told, Option<Answer>) {
    let (tenant, client, secrets) = {
        let stage = world.stage.borrow();
        (stage.tenant.clone(), stage.portal_client.clone(), stage.portal_secrets.clone())
    };
    let which = if world.fate.is_kind() || world.fate.chance(80) {
        secrets.last()
    } else {
        world.fate.pick(&secrets)
    };
    let Some((id, secret)) = which.cloned() else { return (Told::Unknown, None) };
    let credential = format!("credential {id}");
    let form = format!("client_id={client}&client_secret={secret}&{rest}");
    let body = ("application/x-www-form-urlencoded", form);
    let watch = world.watch();
    let path = format!("/{tenant}/oauth2/v2.0/{path}");
    let Some(answer) = world.public("login", "POST", &path, None, Some(body)).await else {
        return (Told::Unknown, None);
    };
    if answer.is_success() {
        let mut switches = vec![credential];
        // What is given up may be of somebody who is disabled.
        if path.ends_with("token") {
            switches.extend(of_principal(&world.stage.borrow().user));
        }
        world.ledger.borrow_mut().succeeded("a request to the token service", &watch, &switches);
        return (Told::Good, Some(answer));
    }
    if answer.status >= 500 {
        return (Told::Unknown, None);
    }
    let is_clients = answer.text("/error") != "invalid_grant";
    if is_clients && world.sign_ins.borrow().is_sure(&[credential]) {
        let what = format!("a client secret that nobody had taken was refused: {}", answer.body);
        world.ledger.borrow_mut().violated(what);
    }
    let description = answer.text("/error_description");
    let is_reuse = description.starts_with("AADSTS54005") || description.contains("used before");
    (Told::Refused { is_reuse, is_clients }, None)
}

/// Redeems a code. Answers the number of the grant.
pub(crate) async fn redeem(world: &World, number: usize) -> Option<usize> {
    let code = world.sign_ins.borrow().codes.get(number).cloned()?;
    let used =
        world.sign_ins.borrow_mut().redeeming(&world.ledger.borrow(), number, world.now().seconds())?;
    let form = format!(
        "grant_type=authorization_code&code={}&redirect_uri={BACK}&code_verifier={VERIFIER}",
        code.text
    );
    let (told, answer) = ask(world, "token", &form).await;
    let mut ledger = world.ledger.borrow_mut();
    ledger.tell(format!("code {number} is redeemed: {told:?}"));
    let mut sign_ins = world.sign_ins.borrow_mut();
    let grant = sign_ins.redeemed(&mut ledger, number, &used, told, world.now().seconds())?;
    ledger.count("codes redeemed");
    if let (Some(answer), Some(session)) = (answer, sign_ins.sessions.get_mut(code.session)) {
        session.id_token = Some(answer.text("/id_token"));
        sign_ins.brought(&mut ledger, grant, answer.text("/refresh_token"), answer.text("/access_token"));
    }
    Some(grant)
}

/// A grant and one of its refresh tokens, mostly the last.
fn any_refresh_token(world: &World) -> Option<(usize, usize)> {
    let sign_ins = world.sign_ins.borrow();
    let grant = newest(world, sign_ins.grants.len())?;
    let count = sign_ins.grants.get(grant)?.refresh.len();
    let last = count.checked_sub(1)?;
    let all: Vec<usize> = (0..count).collect();
    Some((grant, if world.fate.chance(85) { last } else { world.fate.pick(&all).copied()? }))
}

/// Uses a refresh token. Answers what its client was told.
pub(crate) async fn refresh(world: &World, grant: usize, which: usize) -> Option<Told> {
    let token = world.sign_ins.borrow().grants.get(grant)?.refresh.get(which)?.text.clone();
    let began = world.now().seconds();
    let used = world.sign_ins.borrow_mut().refreshing(&world.ledger.borrow(), grant, which, began)?;
    let (told, answer) =
        ask(world, "token", &format!("grant_type=refresh_token&refresh_token={token}")).await;
    let mut ledger = world.ledger.borrow_mut();
    ledger.tell(format!("refresh token {which} of grant {grant} is used: {told:?}"));
    let mut sign_ins = world.sign_ins.borrow_mut();
    let brought = answer.as_ref().map(|answer| answer.text("/refresh_token")).unwrap_or_default();
    sign_ins.refreshed(&mut ledger, (grant, which), &used, (told, &brought), world.now().seconds());
    if let Some(answer) = answer {
        sign_ins.brought(&mut ledger, grant, brought, answer.text("/access_token"));
    }
    Some(told)
}

async fn give_up(world: &World) {
    let Some((grant, which)) = any_refresh_token(world) else { return };
    let token = {
        let mut sign_ins = world.sign_ins.borrow_mut();
        let name = sign_ins::grant(grant);
        sign_ins.doubt(name);
        if sign_ins.refreshing(&world.ledger.borrow(), grant, which, world.now().seconds()).is_none() {
            return;
        }
        sign_ins.grants.get(grant).and_then(|grant| grant.refresh.get(which)).map(|token| token.text.clone())
    };
    let (told, _) = ask(world, "revoke", &format!("token={}", token.unwrap_or_default())).await;
    let mut ledger = world.ledger.borrow_mut();
    ledger.tell(format!("refresh token {which} of grant {grant} is given up: {told:?}"));
    if told == Told::Good {
        world.sign_ins.borrow().given_up(&mut ledger, grant, which);
    }
}

async fn sign_out(world: &World) {
    let all = world.sign_ins.borrow().sessions.clone();
    let hints: Vec<_> = all
        .iter()
        .enumerate()
        .filter_map(|(at, known)| Some((at, known, known.id_token.as_ref()?)))
        .collect();
    let Some((number, session, hint)) = newest(world, hints.len()).and_then(|at| hints.get(at)).copied()
    else {
        return;
    };
    world.sign_ins.borrow_mut().doubt(sign_ins::session(number));
    let tenant = world.stage.borrow().tenant.clone();
    let sent = format!("__Host-keyless-session={}", session.cookie);
    let path = format!("/{tenant}/oauth2/v2.0/logout?id_token_hint={hint}");
    let Some(answer) = world.page("GET", &path, &sent, None).await else { return };
    let mut ledger = world.ledger.borrow_mut();
    ledger.tell(format!("session {number} signs out: {}", answer.status));
    // A browser that nobody is signed in with gets the same page, and keeps its cookies.
    if answer.is_success() && answer.cookie("session").is_some() {
        ledger.count("sign-outs");
        ledger.gone(&sign_ins::session(number));
    }
}

async fn read_any(world: &World) {
    let known = world.sign_ins.borrow().grants.len();
    let grant = newest(world, known);
    let token = grant.and_then(|grant| {
        let sign_ins = world.sign_ins.borrow();
        let tokens = &sign_ins.grants.get(grant)?.access;
        tokens.get(newest(world, tokens.len())?).cloned()
    });
    if let (Some(grant), Some(token)) = (grant, token) {
        let secret = world.fate.pick(&SECRETS).copied().unwrap_or_default();
        read(world, grant, &token, secret).await;
    }
}

/// Reads a secret with a token of a grant. Answers the status.
pub(crate) async fn read(world: &World, grant: usize, token: &str, secret: &str) -> Option<u16> {
    let on = [sign_ins::grant(grant), world.sign_ins.borrow().session_of(grant)?];
    let status = read_secret(world, "ann", token, VAULTS[0], secret, &on).await?;
    let sign_ins = world.sign_ins.borrow();
    let is_alive = world.now().seconds() < super::claims(token).expires;
    let mut ledger = world.ledger.borrow_mut();
    let had_to = if is_alive && sign_ins.is_sure(&on) { " that had to be taken" } else { "" };
    ledger.count(&format!("{status} answers to tokens of the user{had_to}"));
    if matches!(status, 401 | 403) && is_alive && sign_ins.is_sure(&on) {
        ledger.violated(format!("a token of grant {grant} was refused, and nobody had ended anything of it"));
    }
    Some(status)
}

/// Faults have stopped. What is over is over, what is not is not, and a new sign-in goes all the way.
pub(crate) async fn settle(world: &World) -> Result<(), String> {
    let count = world.sign_ins.borrow().grants.len();
    for grant in 0..count {
        let last =
            world.sign_ins.borrow().grants.get(grant).and_then(|grant| grant.refresh.len().checked_sub(1));
        if let Some(last) = last {
            refresh(world, grant, last).await;
            let access =
                world.sign_ins.borrow().grants.get(grant).and_then(|grant| grant.access.last().cloned());
            read(world, grant, &access.unwrap_or_default(), SECRETS[0]).await;
        }
    }
    let session = directly(world).await.ok_or("nobody can sign in after all faults")?;
    let code = code(world, session).await.ok_or("a new session gets no code")?;
    let grant = redeem(world, code).await.ok_or("a new code brings no tokens")?;
    if refresh(world, grant, 0).await != Some(Told::Good) {
        return Err("a new refresh token brings nothing".to_owned());
    }
    let access =
        world.sign_ins.borrow().grants.get(grant).map(|grant| grant.access.clone()).unwrap_or_default();
    for token in &access {
        let status = read(world, grant, token, SECRETS[0]).await;
        if !matches!(status, Some(200 | 404)) {
            return Err(format!("the user cannot read after all faults: {status:?}"));
        }
    }
    if refresh(world, grant, 0).await != Some(Told::Good) {
        return Err("two programs cannot share a refresh token".to_owned());
    }
    // Used again when nobody can share it any more, it takes with it what came of it.
    world.clock.advance(60);
    refresh(world, grant, 0).await;
    for token in &access {
        if read(world, grant, token, SECRETS[0]).await != Some(401) {
            return Err("a token outlives the second use of its refresh token".to_owned());
        }
    }
    Ok(())
}

/// Lets the client act in everybody's name, so that no page asks.
pub(crate) async fn consent(world: &World) -> Result<(), String> {
    let server = world.server().ok_or("no server")?;
    let client = world.stage.borrow().portal_client.parse().map_err(|_| "no client")?;
    let agreed = server.services.directory.agree_for_everybody(client, SCOPE).await;
    agreed.map_err(|error| error.to_string())
}
