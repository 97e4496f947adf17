// A program on somebody's machine that uses oauth4webapi, which checks every answer against the specifications and forgives nothing; without
// a credential, and then a server that proves itself by HTTP Basic.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as oauth from "oauth4webapi";

const { ISSUER, CLIENT, SECRET, REDIRECT_URI, NATIVE, API, PERSON } = process.env;
const person = (...words) => execFileSync(PERSON, words.map(String), { encoding: "utf8" }).trim();

const issuer = new URL(ISSUER);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));

async function signIn(client, authentication, redirectUri, scope) {
    const [verifier, state, nonce] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState(), oauth.generateRandomNonce()];
    const url = new URL(as.authorization_endpoint);
    const challenge = await oauth.calculatePKCECodeChallenge(verifier);
    const asked = {
        client_id: client.client_id, redirect_uri: redirectUri, response_type: "code", scope, state, nonce,
        code_challenge: challenge, code_challenge_method: "S256",
    };
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    const answered = oauth.validateAuthResponse(as, client, new URL(person(url)), state);
    const redeem = (code) => oauth.authorizationCodeGrantRequest(as, client, authentication, answered, redirectUri, code);
    const response = await redeem(verifier);
    const checks = { expectedNonce: nonce, requireIdToken: true };
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, checks);
    await oauth.validateApplicationLevelSignature(as, response);
    return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens), redeem: () => redeem(verifier) };
}

async function refused(response, process, error) {
    await assert.rejects(response.then(process), { error });
}

const native = { client_id: NATIVE };
// The port is whichever is free.
const loopback = "http://127.0.0.1:49152/cb";
const first = await signIn(native, oauth.None(), loopback, "openid profile email offline_access");
const userinfo = await oauth.userInfoRequest(as, native, first.tokens.access_token);
const user = await oauth.processUserInfoResponse(as, native, first.claims.sub, userinfo);
assert.equal(user.preferred_username, "alice@keyless.localhost");
const refresh = await oauth.refreshTokenGrantRequest(as, native, oauth.None(), first.tokens.refresh_token);
const renewed = await oauth.processRefreshTokenResponse(as, native, refresh);
assert.ok(renewed.refresh_token && renewed.refresh_token !== first.tokens.refresh_token);
// A code that comes twice is refused, and takes with it what it has brought.
await refused(first.redeem(), (r) => oauth.processAuthorizationCodeResponse(as, native, r), "invalid_grant");
await refused(
    oauth.refreshTokenGrantRequest(as, native, oauth.None(), renewed.refresh_token),
    (r) => oauth.processRefreshTokenResponse(as, native, r),
    "invalid_grant",
);

const begun = await oauth.deviceAuthorizationRequest(as, native, oauth.None(), { scope: "openid profile" });
const device = await oauth.processDeviceAuthorizationResponse(as, native, begun);
const poll = () => oauth.deviceCodeGrantRequest(as, native, oauth.None(), device.device_code);
await refused(poll(), (r) => oauth.processDeviceCodeResponse(as, native, r), "authorization_pending");
person(device.verification_uri, device.user_code);
await new Promise((over) => setTimeout(over, device.interval * 1000));
const connected = await oauth.processDeviceCodeResponse(as, native, await poll());
assert.equal(oauth.getValidatedIdTokenClaims(connected).oid, first.claims.oid);

const server = { client_id: CLIENT };
const basic = oauth.ClientSecretBasic(SECRET);
const web = await signIn(server, basic, REDIRECT_URI, "openid");
assert.equal(web.claims.oid, first.claims.oid);
assert.notEqual(web.claims.sub, first.claims.sub, "pairwise, as the document says");
const own = await oauth.clientCredentialsGrantRequest(as, server, basic, { scope: `${API}/.default` });
assert.ok((await oauth.processClientCredentialsResponse(as, server, own)).expires_in > 0);
// Who was wrong by HTTP Basic is challenged by it (RFC 6749 section 5.2).
const wrong = oauth.ClientSecretBasic("wrong");
const challenged = await oauth.clientCredentialsGrantRequest(as, server, wrong, { scope: `${API}/.default` });
await assert.rejects(oauth.processClientCredentialsResponse(as, server, challenged), (error) => {
    return error.status === 401 && error.cause[0].scheme === "basic";
});
await oauth.processRevocationResponse(await oauth.revocationRequest(as, server, basic, web.tokens.access_token));
console.log("all held");
