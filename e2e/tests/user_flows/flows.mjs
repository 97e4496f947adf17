// Users of @azure/identity for Node, by every flow that has a person in it. Prints the secret that was read with the token.
//
// The first argument says which flow; all that the credentials are told besides the usual is that the authority is a private one.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import {
    AuthorizationCodeCredential,
    DeviceCodeCredential,
    InteractiveBrowserCredential,
    OnBehalfOfCredential,
    UsernamePasswordCredential,
} from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const { AUTHORITY, TENANT, PERSON, VAULT_URL } = process.env;
const AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const options = { authorityHost: AUTHORITY, disableInstanceDiscovery: true };
const [flow, ...given] = process.argv.slice(2);
const person = promisify(execFile);

const credentials = {
    device: () =>
        new DeviceCodeCredential({
            ...options,
            userPromptCallback: (told) => void person(PERSON, [told.verificationUri, told.userCode]),
        }),
    browser: () => {
        process.env.BROWSER = PERSON;
        // This one does not take the tenant that the vault names, unless it is the one that it was told.
        return new InteractiveBrowserCredential({ ...options, tenantId: TENANT });
    },
    code: ([client, secret, redirectUri, code]) =>
        new AuthorizationCodeCredential(TENANT, client, secret, code, redirectUri, options),
    on_behalf_of: ([clientId, clientSecret, userAssertionToken]) =>
        new OnBehalfOfCredential({ ...options, tenantId: TENANT, clientId, clientSecret, userAssertionToken }),
    password: ([name, secret]) => new UsernamePasswordCredential(TENANT, AZURE_CLI, name, secret, options),
};
console.log((await new SecretClient(VAULT_URL, credentials[flow](given)).getSecret("db")).value);
