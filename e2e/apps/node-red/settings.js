// Node-RED's own settings file. What encrypts its flows' credentials is a reference to the vault in the app's settings; the editor's password
// is read from the vault by the SDK, each time that somebody signs in.
const { DefaultAzureCredential } = require("@azure/identity");
const { SecretClient } = require("@azure/keyvault-secrets");

const vault = new SecretClient(process.env.VAULT_URL, new DefaultAzureCredential());
const editor = { username: "editor", permissions: "*" };

async function authenticate(name, password) {
    try {
        const secret = await vault.getSecret("editors-password");
        return name === editor.username && password === secret.value ? editor : null;
    } catch (error) {
        // Node-RED ends when this is thrown on.
        console.log("the vault was not read:", error.name, error.message);
        return null;
    }
}

module.exports = {
    flowFile: "flows.json",
    credentialSecret: process.env.CREDENTIAL_SECRET,
    uiHost: "127.0.0.1",
    uiPort: process.env.PORT,
    adminAuth: {
        type: "credentials",
        users: async (name) => (name === editor.username ? editor : null),
        authenticate,
    },
};
