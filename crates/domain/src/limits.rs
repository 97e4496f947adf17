//! Every number that bounds the system, with its unit and its source. `docs/limits.md` is generated from this file by `cargo xtask tidy`.

use std::time::Duration;

/// Characters of the name of a secret, key or certificate. Source: Key Vault OpenAPI, `SetSecret` path pattern.
pub const OBJECT_NAME_CHARS_MAX: usize = 127;
/// Bytes of a secret's value (25 KiB). Source: Key Vault, about secrets.
pub const SECRET_VALUE_BYTES_MAX: usize = 25_600;
/// Characters of a secret's content type. Source: Key Vault, about secrets.
pub const CONTENT_TYPE_CHARS_MAX: usize = 255;
/// Tags of a secret. Source: Key Vault, about secrets.
pub const TAGS_MAX: usize = 15;
/// Characters of a tag's name, and of its value. Source: Key Vault, about secrets.
pub const TAG_CHARS_MAX: usize = 512;
/// Last second of a secret's not-before and expiry, the end of the year 9999. Ours: Python's and .NET's dates end there, and one absurd
/// date would break their every list of the vault.
pub const SECRET_TIME_SECONDS_MAX: i64 = 253_402_300_799;
/// Items of one page of a list. Source: Key Vault OpenAPI, `maxresults`.
pub const PAGE_ITEMS_MAX: u16 = 25;
/// Access policies of one vault. Source: Key Vault, about access policies (1,024); ours is lower so that a vault fits its record.
pub const ACCESS_POLICIES_MAX: usize = 256;
/// Role assignments of one principal at one scope. Ours, so that they fit one record.
pub const ROLE_ASSIGNMENTS_MAX: usize = 200;
/// Roles that people made. Ours, so that they fit one record; Azure has 5,000 for a tenant.
pub const CUSTOM_ROLES_MAX: usize = 32;
/// Bytes of one of them as JSON: some thirty operations and a description. Ours, so that none takes the place of the others.
pub const CUSTOM_ROLE_BYTES_MAX: usize = 2_000;
/// Bytes of one pattern of a custom role. Ours: the longest operations of Azure have some 150.
pub const ROLE_PATTERN_BYTES_MAX: usize = 256;
/// Values of an app that the resource manager alone keeps. Ours.
pub const SITE_VALUES_MAX: usize = 64;
/// Bytes of one of them. Ours.
pub const SITE_VALUE_BYTES_MAX: usize = 1_024;
/// Tags of a resource. Source: Azure Resource Manager, tags (50).
pub const RESOURCE_TAGS_MAX: usize = 50;
/// Time for which a log is followed over the network, at most. Ours: App Service ends such streams, too, and clients ask anew.
pub const FOLLOWED_LOG_TIME_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Time after which it is asked again whether a log may be followed. Ours: a role that is taken away shows nothing for longer.
pub const FOLLOWED_LOG_ASKS_EVERY: Duration = Duration::from_secs(2);
/// Bytes of all tags of a resource, names and values. Ours, so that they fit its record with all else: a quote takes two there.
pub const RESOURCE_TAGS_BYTES_MAX: usize = 16_384;
/// Characters of a tag's name. Source: Azure Resource Manager, tags.
pub const RESOURCE_TAG_NAME_CHARS_MAX: usize = 512;
/// Characters of a tag's value. Source: Azure Resource Manager, tags.
pub const RESOURCE_TAG_VALUE_CHARS_MAX: usize = 256;
/// Ranges in the network rules of one vault. Ours (Key Vault: 1,000), so that a vault fits its record.
pub const IP_RANGES_MAX: usize = 256;
/// Days for which a deleted vault or object is recoverable, unless the vault was made with other ones. Source: Key Vault soft delete.
pub const RECOVERABLE_DAYS: u16 = 90;
/// Fewest days for which it may be. Source: Key Vault soft delete.
pub const RECOVERABLE_DAYS_MIN: u16 = 7;
/// Characters of the name and of the value of a tag of a key or certificate. Source: Key Vault, about keys.
pub const KEY_TAG_CHARS_MAX: usize = 256;
/// Bytes of a certificate's policy as it is stored (16 KiB). Ours, so that it fits beside a chain in one record.
pub const CERTIFICATE_POLICY_BYTES_MAX: usize = 16 * 1024;
/// Contacts of a vault, and administrators of an issuer. Ours, so that they fit one record.
pub const CONTACTS_MAX: usize = 50;
/// Characters of one detail of a contact or an issuer, such as a mailbox. Source: RFC 5321 section 4.5.3.1.3, rounded up.
pub const CONTACT_CHARS_MAX: usize = 256;
/// Bytes of the password of an account with an issuer. Ours.
pub const ISSUER_PASSWORD_BYTES_MAX: usize = 1_024;
/// Versions of an object that is backed up. Source: Key Vault backup.
pub const BACKUP_VERSIONS_MAX: usize = 500;
/// Versions of keys that are kept opened, private halves and public ones by themselves. Ours: one of RSA is about 10 KB.
pub const OPEN_KEYS_MAX: usize = 2_000;
/// Random bytes that are given at a time. Source: Key Vault OpenAPI, `GetRandomBytesRequest`.
pub const RANDOM_BYTES_MAX: usize = 128;

/// Lifetime of an access token. Source: Entra access token lifetimes (60 to 90 minutes; samples 3,599 s).
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);
/// A managed identity's cached token is renewed when less than this is left. Source: SDKs refuse tokens with under 5 minutes.
pub const TOKEN_REFRESH_AHEAD: Duration = Duration::from_secs(1_800);
/// Clock skew that a token's times may have. Source: RFC 7519 section 4.1.4 ("a few minutes").
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How long clients may keep the directory's documents, its published keys among them. Ours: what their `Cache-Control` says.
pub const DOCUMENTS_CACHED: Duration = Duration::from_secs(300);
/// How long a signing key is published at least before it signs. Ours: twice as long as the documents are kept, so that everybody knows it.
pub const SIGNING_KEY_ANNOUNCED_MIN: Duration = Duration::from_secs(600);
/// How long before its time the schedule publishes the next signing key. Ours: many who verify tokens look at keys once a day.
pub const SIGNING_KEY_ANNOUNCED: Duration = Duration::from_secs(86_400);
/// How long a signing key signs, unless configured otherwise (90 days). Ours.
pub const SIGNING_KEY_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// Signing keys published at a time. Ours: everybody who verifies tokens loads them all.
pub const SIGNING_KEYS_MAX: usize = 16;
/// Bytes of a bearer token. Ours: real ones are 1 to 2 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Verified tokens that a node remembers. Ours: 10,000 tokens are about 5 MB.
pub const VERIFIED_TOKENS_MAX: usize = 10_000;
/// Managed identity tokens cached at a time. Ours.
pub const CACHED_TOKENS_MAX: usize = 10_000;

/// User-assigned identities of one app. Ours: a token request may read the principal of each.
pub const IDENTITIES_OF_APP_MAX: usize = 20;

/// Credentials, sessions and assignments of one principal that are gone while tokens of theirs may live. Beyond, all older tokens of it are over. Ours.
pub const REVOCATIONS_MAX: usize = 32;

/// Lifetime of a browser's session after a sign-in. Source: Entra, sessions that are not persistent (24 h).
pub const SESSION_LIFETIME: Duration = Duration::from_secs(86_400);
/// How long after the password its code or another password may come. Ours: time to find the phone.
pub const HALF_SIGN_IN_LIFETIME: Duration = Duration::from_secs(600);
/// Bytes of the query of a page, and of the form that a page sends. Ours: `state` and `nonce` of the largest size, and what clients tell of themselves.
pub const PAGE_REQUEST_BYTES_MAX: usize = 32 * 1024;
/// Lifetime of an authorization code. Source: RFC 6749 section 4.1.2 (at most 10 minutes).
pub const AUTHORIZATION_CODE_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a refresh token that nobody uses. Source: Entra (90 days).
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// Lifetime of all refresh tokens of a sign-in in a page, used or not. Source: Entra, single-page apps (24 h).
pub const REFRESH_TOKEN_LIFETIME_SPA: Duration = Duration::from_secs(86_400);
/// How long a refresh token that was used is answered with the same next one, for programs that share it and for a lost answer. After it, who
/// comes with it ends all that came of the same grant. Source: Okta (30 s by default); RFC 9700 section 4.14.2 names no time.
pub const REFRESH_TOKEN_GRACE: Duration = Duration::from_secs(30);
/// Lifetime of a device code. Source: Entra (900 s).
pub const DEVICE_CODE_LIFETIME: Duration = Duration::from_secs(900);
/// How long a device waits between two questions. Source: Entra, RFC 8628 section 3.5.
pub const DEVICE_CODE_INTERVAL: Duration = Duration::from_secs(5);
/// Letters of a user code: 20 consonants each, so 34 bits. Source: RFC 8628 section 6.1.
pub const USER_CODE_LETTERS: usize = 8;
/// Scopes of one request. Ours.
pub const SCOPES_MAX: usize = 64;
/// Characters of `state` and of `nonce`. Ours: clients keep them in some hundred; they return in a URL.
pub const STATE_CHARS_MAX: usize = 4_096;
/// Redirect URIs of one app registration. Source: Entra (256); ours is what fits a record.
pub const REDIRECT_URIS_MAX: usize = 64;
/// Characters of a redirect URI. Ours: what browsers take.
pub const REDIRECT_URI_CHARS_MAX: usize = 2_048;
/// Resources for which one user has agreed to one client. Ours.
pub const CONSENT_RESOURCES_MAX: usize = 64;
/// Scopes that one app registration exposes. Ours.
pub const EXPOSED_SCOPES_MAX: usize = 64;
/// App roles that one app registration defines. Ours.
pub const APP_ROLES_MAX: usize = 64;
/// Characters of the value of an app role or a scope. Source: Microsoft Graph, appRole.
pub const APP_ROLE_VALUE_CHARS_MAX: usize = 120;
/// How long a deleted registration, user or group can be brought back (30 days). Source: Microsoft Graph, directory/deletedItems.
pub const DELETED_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Items of one page of Microsoft Graph, unless fewer are asked for. Source: Microsoft Graph (100).
pub const GRAPH_PAGE_ITEMS: u16 = 100;
/// Items of one page of Microsoft Graph that may be asked for. Source: Microsoft Graph (999).
pub const GRAPH_PAGE_ITEMS_MAX: u16 = 999;
/// Items of one answer of the resource manager; fewer may be asked for. Source: Azure Resource Manager, resources (1,000).
pub const RESOURCE_PAGE_ITEMS_MAX: usize = 1_000;
/// Ids of one request that asks for several objects. Source: Microsoft Graph, getByIds.
pub const GRAPH_IDS_MAX: usize = 1_000;
/// Groups of one request that asks which of them somebody is in. Source: Microsoft Graph, checkMemberGroups.
pub const GRAPH_GROUPS_ASKED_MAX: usize = 20;
/// Secrets of one app registration, and certificates besides. Ours.
pub const CREDENTIALS_MAX: usize = 20;
/// Federated credentials of one app registration, or of one user-assigned identity. Source: Microsoft Graph and Azure Resource Manager,
/// federatedIdentityCredential.
pub const FEDERATED_CREDENTIALS_MAX: usize = 20;
/// Characters of a federated credential's name. Source: Microsoft Graph, federatedIdentityCredential.
pub const FEDERATED_NAME_CHARS_MAX: usize = 120;
/// Characters of its issuer, subject, audience and description, each. Source: Microsoft Graph, federatedIdentityCredential.
pub const FEDERATED_TEXT_CHARS_MAX: usize = 600;
/// Bytes of a certificate that a client proves itself with, as it is sent. Ours: one of RSA-4096 is 2 KB, in PEM 3 KB.
pub const CLIENT_CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a client assertion. Ours: clients send a chain of certificates along, one of them each as PEM in base64.
pub const ASSERTION_BYTES_MAX: usize = 32 * 1024;
/// How far the end of a client's own assertion may be away. Ours: SDKs make them for 5 or 10 minutes.
pub const ASSERTION_LIFETIME_MAX: Duration = Duration::from_secs(3_600);
/// How far the end of an assertion by an outside issuer may be away. Source: Kubernetes, `expirationSeconds` as workload identity takes it.
pub const FEDERATED_LIFETIME_MAX: Duration = Duration::from_secs(86_400);
/// How long what a program's token file holds is good. Ours: SDKs keep it for 10 minutes, and it is renewed every 10.
pub const WORKLOAD_TOKEN_LIFETIME: Duration = Duration::from_secs(1_800);
/// How often a program's token file is renewed. Ours, as above.
pub const WORKLOAD_TOKEN_RENEWED: Duration = Duration::from_secs(600);
/// How long a key is good that was left for an app in a file (Azure Arc's protocol). Ours: SDKs come with it within milliseconds.
pub const CHALLENGE_KEY_LIFETIME: Duration = Duration::from_secs(60);
/// Such keys of one workload that nobody has come with yet. Ours: so many of its requests may be under way at a time.
pub const CHALLENGE_KEYS_MAX: usize = 64;
/// For how long an outside issuer's keys are good without being fetched again. Ours: how long a key that it took back is still taken.
pub const ISSUER_KEYS_LIFETIME: Duration = Duration::from_secs(3_600);
/// Time between two fetches of an issuer's keys because an assertion names one that is not among them, or the last one failed. Ours.
pub const ISSUER_FETCH_INTERVAL: Duration = Duration::from_secs(30);
/// Time within which an issuer's keys must be there. Ours.
pub const ISSUER_FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a document of an outside issuer. Ours: real ones are 1 to 10 KiB.
pub const ISSUER_DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Keys of a key set that is given with a federated credential. Ours, so that it fits one record.
pub const FEDERATED_KEYS_MAX: usize = 10;
/// Identifier URIs of one app registration. Ours.
pub const IDENTIFIER_URIS_MAX: usize = 20;
/// Characters of one identifier URI. Source: Entra app manifest, identifierUris.
pub const IDENTIFIER_URI_CHARS_MAX: usize = 255;
/// Characters of an audience, resource or scope. Ours: a URI of any sane length.
pub const AUDIENCE_CHARS_MAX: usize = 512;
/// Characters of a display name. Source: Microsoft Graph, application displayName.
pub const DISPLAY_NAME_CHARS_MAX: usize = 256;
/// Bytes of an endpoint secret and of a generated client secret, before encoding (256 bits).
pub const ENDPOINT_SECRET_BYTES: usize = 32;
/// Lifetime of a client secret unless asked otherwise (2 years). Source: Graph addPassword default.
pub const CLIENT_SECRET_LIFETIME: Duration = Duration::from_secs(2 * 365 * 86_400);

/// Passkeys of one user. Ours, so that they fit its record.
pub const PASSKEYS_MAX: usize = 10;
/// Characters of a user's name before its @. Source: Entra, userPrincipalName.
pub const USER_NAME_LOCAL_CHARS_MAX: usize = 64;
/// Characters of a user's mail address. Source: RFC 5321 section 4.5.3.1.3, rounded down.
pub const MAIL_CHARS_MAX: usize = 254;
/// Characters of a user's password, at least. Source: NIST SP 800-63B section 5.1.1.2, Entra password policies.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Characters of a user's password, at most. Source: Entra password policies.
pub const PASSWORD_CHARS_MAX: usize = 256;
/// Memory of argon2id for a user's password, KiB (19 MiB). Source: OWASP Password Storage Cheat Sheet; the least it recommends, as sign-ins
/// of several users run at a time.
pub const PASSWORD_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of argon2id for a user's password, with one lane. Source: as above.
pub const PASSWORD_PASSES: u32 = 2;
/// Passwords that are hashed at a time. Ours: together they take 76 MiB, and leave the machine to those who have signed in.
pub const PASSWORD_HASHES_MAX: usize = 4;
/// Passwords that wait for being hashed; one more is refused. Ours: the last one waits for about a second.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 32;
/// Wrong passwords for one user name from one address before the next must wait. Ours.
pub const GUESSES_MAX: u32 = 5;
/// How long one wrong password for one user name from one address is counted. Ours: 1,440 guesses a day.
pub const GUESS_TIME: Duration = Duration::from_secs(60);
/// Wrong passwords for one user name from all addresses that the user has never signed in from, before such an address must wait. Ours.
pub const GUESSES_OF_NAME_MAX: u32 = 30;
/// How long one of them is counted. Ours: 2,880 guesses a day, however many addresses take part.
pub const GUESS_OF_NAME_TIME: Duration = Duration::from_secs(30);
/// Wrong passwords from one address for any user names before it must wait. Ours: many people may sit behind one address.
pub const GUESSES_OF_ADDRESS_MAX: u32 = 50;
/// How long one of them is counted. Ours.
pub const GUESS_OF_ADDRESS_TIME: Duration = Duration::from_secs(20);
/// User names and addresses for each kind of which wrong passwords are counted at a time. Ours: all together take about 3 MB.
pub const GUESSED_MAX: usize = 10_000;
/// Groups that one principal may be in. Ours: a decision reads three records for each, and at most 100 in all.
pub const GROUPS_OF_PRINCIPAL_MAX: usize = 23;
/// Characters of a group's description. Source: Microsoft Graph, group description.
pub const GROUP_DESCRIPTION_CHARS_MAX: usize = 1_024;

/// Bytes of a request body on the public listener (25 KiB value, JSON-escaped, and its members).
pub const REQUEST_BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a body that are still taken, and thrown away, beyond its limit or of one that nobody reads, so that the refusal is read. Ours.
pub const DISCARDED_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a request body that restores a backup: the most versions of a usual size, and their encodings. Ours.
pub const BACKUP_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of a token request's form. Ours: two tokens of the largest size, escaped, and what clients tell of themselves.
pub const TOKEN_FORM_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request's head on the identity endpoint.
pub const ENDPOINT_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time within which a connection's TLS handshake must be done.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Time within which a request's head must have arrived, also from the end of the one before it.
pub const REQUEST_READ_TIME_MAX: Duration = Duration::from_secs(20);
/// Time within which a request must be answered, its body's arrival included.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Time for which a client of the public listener may take nothing of its answer.
pub const ANSWER_WAIT_TIME_MAX: Duration = Duration::from_secs(20);
/// Connections open at a time on the public listener.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Connections open at a time on one identity endpoint.
pub const ENDPOINT_CONNECTIONS_MAX: usize = 256;
/// Workloads running at a time. Ours: a thousand apps with two instances each, all of them replaced at once.
pub const WORKLOADS_MAX: usize = 4_000;
/// Instances of one app. Ours, as App Service's plans have them (10 to 30).
pub const INSTANCES_MAX: u16 = 32;
/// Settings of one app. Ours.
pub const APP_SETTINGS_MAX: usize = 200;
/// Bytes of the name of an app setting. Ours.
pub const APP_SETTING_NAME_BYTES_MAX: usize = 256;
/// Bytes of the value of an app setting (32 KiB). Ours.
pub const APP_SETTING_VALUE_BYTES_MAX: usize = 32 * 1024;
/// Bytes of all settings of one app as they are kept, sealed and as text (60 KiB). Ours, so that they fit one record.
pub const APP_SETTINGS_BYTES_MAX: usize = 60 * 1024;
/// Bytes of a start command. Ours.
pub const START_COMMAND_BYTES_MAX: usize = 4_096;
/// Bytes of the path of a health check. Ours.
pub const HEALTH_PATH_BYTES_MAX: usize = 1_024;
/// Processes and threads of one instance, unless others are set. Ours: a web server with its workers needs far fewer.
pub const INSTANCE_PROCESSES: u32 = 512;
/// How long an instance may take to become ready. Source: App Service, `WEBSITES_CONTAINER_START_TIME_LIMIT` (230 s).
pub const START_TIME_MAX: Duration = Duration::from_secs(230);
/// How long an instance may take to end after it was asked to. Ours (App Service: 5 to 120 s).
pub const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an instance that is replaced may go on answering the requests that it has. Ours.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest wait before an app that keeps failing is started again. Ours.
pub const RESTART_BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// How long an instance must serve before earlier failures are forgotten. Ours.
pub const FAILURES_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How often a health check is made, and how long it may take. Ours.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// Health checks that fail in a row before an instance is replaced. Ours.
pub const HEALTH_FAILURES_MAX: u32 = 3;
/// How often references to secrets are resolved again. Ours (App Service: 24 h).
pub const REFERENCES_REFRESHED: Duration = Duration::from_secs(600);
/// Bytes of an instance's log before it is rotated (10 MiB); one earlier file is kept. Ours.
pub const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How long a package may take to arrive. Ours.
pub const PACKAGE_UPLOAD_TIME_MAX: Duration = Duration::from_secs(600);
/// How long building a package (`pip install`, `npm ci`) may take. Ours.
pub const BUILD_TIME_MAX: Duration = Duration::from_secs(600);
/// Deployments of an app whose files are kept: the current one and those before it. Ours.
pub const DEPLOYMENTS_KEPT: usize = 2;
/// The first account of apps. Source: systemd, "Users, Groups, UIDs and GIDs": unused from here on.
pub const ACCOUNT_FIRST: u32 = 1_879_048_192;
/// Accounts that one installation can give to apps; none is given twice. Ours.
pub const ACCOUNTS_MAX: u32 = 100_000;
/// Blocks of so many accounts on one machine, one for each installation. Ours: up to 2,147,483,647 accounts stay positive as a signed number.
pub const ACCOUNT_BLOCKS: u32 = 2_000;
/// How often a decision is run again after a conflict before the request gives up.
pub const TRANSACT_ATTEMPTS_MAX: u32 = 64;
/// Longest time for which an audit record may wait to be synced to disk.
pub const AUDIT_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time for which audit records are kept, if not for ever; of as long a time a file of them is at most, where they expire. Ours.
pub const AUDIT_KEPT_MIN: Duration = Duration::from_secs(86_400);
/// How far a test clock may be ahead of the real one (100 years of 365 days). Ours: years in certificates and answers have four digits.
pub const TEST_CLOCK_AHEAD_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Bytes of one audit record.
pub const AUDIT_RECORD_BYTES_MAX: usize = 8 * 1024;

/// Time within which a package must have arrived where it is sent over the network. Ours: 512 MiB at 2.5 Mbit/s.
pub const PACKAGE_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Bytes of a package as it is sent (512 MiB). Ours (App Service: 2 GiB).
pub const PACKAGE_ZIP_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a package's files once they are unpacked (2 GiB). Ours; counted while they are written, whatever the archive says of itself.
pub const PACKAGE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Files, directories and links of a package. Ours: a large `node_modules` has half as many.
pub const PACKAGE_ENTRIES_MAX: usize = 100_000;
/// Bytes of a root file system as a tar (2 GiB), and so of its files. Ours.
pub const ROOT_FILES_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Files, directories, links and devices of a root file system. Ours: a distribution's with a desktop has half as many.
pub const ROOT_FILES_ENTRIES_MAX: u64 = 500_000;

/// Connections to one instance of an app, open at a time. Ours: a program has 1,024 file descriptors unless somebody gives it more.
pub const PROXY_CONNECTIONS_MAX: usize = 512;
/// Connections to one instance that are kept open for the next request. Ours.
pub const PROXY_IDLE_CONNECTIONS_MAX: usize = 64;
/// Time within which a connection to an app's instance must be there, a place among the most connections included. Ours.
pub const PROXY_CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Time within which an app must begin its answer, counted from the last piece of the request that it took. Source: App Service (230 s).
pub const PROXY_ANSWER_TIME_MAX: Duration = Duration::from_secs(230);
/// Time for which nothing may be sent in either direction of a connection that was upgraded, such as a WebSocket (20 minutes). Ours.
pub const PROXY_UPGRADE_IDLE_TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// Bytes of the head of an app's answer. Ours: as much as a request's head may have.
pub const PROXY_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the file of a declarative set-up, `keyless apply` (1 MiB). Ours: values of secrets are in files of their own.
pub const STACK_BYTES_MAX: usize = 1024 * 1024;
/// Entries of such a file: registrations, identities, groups, apps and vaults, and what each names. Ours: each may be a request of its own.
pub const STACK_ENTRIES_MAX: usize = 5_000;
