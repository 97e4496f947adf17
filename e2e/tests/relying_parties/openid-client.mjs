// A web app that signs people in by openid-client, at its own strictness; an API beside it that verifies tokens by jose.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as openid from "openid-client";

const { ISSUER, CLIENT, SECRET, REDIRECT_URI, NATIVE, API, PERSON } = process.env;
const person = (...words) => execFileSync(PERSON, words.map(String), { encoding: "utf8" }).trim();

const config = await openid.discovery(new URL(ISSUER), CLIENT, SECRET);
openid.enableNonRepudiationChecks(config);
const metadata = config.serverMetadata();

async function signIn(scope, more = {}) {
    const pkceCodeVerifier = openid.randomPKCECodeVerifier();
    const [expectedState, expectedNonce] = [openid.randomState(), openid.randomNonce()];
    const url = openid.buildAuthorizationUrl(config, {
        redirect_uri: REDIRECT_URI,
        scope,
        state: expectedState,
        nonce: expectedNonce,
        code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: "S256",
        ...more,
    });
    const answered = new URL(person(url));
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true, ...("max_age" in more && { maxAge: more.max_age }) };
    return openid.authorizationCodeGrant(config, answered, checks);
}

const tokens = await signIn("openid profile email offline_access", { max_age: 3600 });
const claims = tokens.claims();
assert.equal(claims.iss, ISSUER);
assert.equal(claims.aud, CLIENT);
assert.equal(claims.preferred_username, "alice@keyless.localhost");
const user = await openid.fetchUserInfo(config, tokens.access_token, claims.sub);
assert.equal(user.email, "alice@mail.example");

const renewed = await openid.refreshTokenGrant(config, tokens.refresh_token);
const used = Date.now();
assert.notEqual(renewed.refresh_token, tokens.refresh_token);
assert.equal(renewed.claims().sub, claims.sub);

// An API verifies what it is shown.
const api = await signIn(`openid ${API}/.default`);
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const shown = await jwtVerify(api.access_token, keys, { audience: [API], algorithms: ["RS256"] });
assert.equal(shown.payload.oid, claims.oid);
await assert.rejects(jwtVerify(api.access_token, keys, { audience: "api://other" }), { code: "ERR_JWT_CLAIM_VALIDATION_FAILED" });
const own = await openid.clientCredentialsGrant(config, { scope: `${API}/.default` });
const { payload } = await jwtVerify(own.access_token, keys, { audience: API });
assert.equal(payload.idtyp ?? "app", "app");

// Devices have nothing to prove themselves by.
const native = await openid.discovery(new URL(ISSUER), NATIVE, undefined, openid.None());
const device = await openid.initiateDeviceAuthorization(native, { scope: "openid" });
person(device.verification_uri, device.user_code);
assert.equal((await openid.pollDeviceAuthorizationGrant(native, device)).claims().oid, claims.oid);

// Another program that had read it before gets the same one; who comes later ends its whole line.
const shared = await openid.refreshTokenGrant(config, tokens.refresh_token);
assert.equal(shared.refresh_token, renewed.refresh_token);
await sleep(used + 32_000 - Date.now());
await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), { error: "invalid_grant" });
await assert.rejects(openid.refreshTokenGrant(config, renewed.refresh_token), { error: "invalid_grant" });

const again = await signIn("openid offline_access");
await openid.tokenRevocation(config, again.refresh_token);
await assert.rejects(openid.refreshTokenGrant(config, again.refresh_token), { error: "invalid_grant" });

const leave = openid.buildEndSessionUrl(config, {
    post_logout_redirect_uri: REDIRECT_URI,
    id_token_hint: again.id_token,
    state: "gone",
});
assert.equal(person(leave), `${REDIRECT_URI}?state=gone`);
await assert.rejects(openid.fetchUserInfo(config, again.access_token, claims.sub), { status: 401 });
console.log("all held");
