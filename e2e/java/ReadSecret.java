import com.azure.core.credential.TokenCredential;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.secrets.SecretClientBuilder;

/**
 * Reads a secret by the official SDK for Java: NAME default|managed at default settings, NAME secret by a client secret of a private
 * authority. NAME secret key makes an RSA key of that name, and says nothing of its exponent.
 */
class ReadSecret {
    public static void main(String[] arguments) {
        var credential = credential(arguments[1]);
        var vault = System.getenv("VAULT_URL");
        if (arguments.length > 2) {
            var keys = new KeyClientBuilder().vaultUrl(vault).credential(credential).buildClient();
            System.out.println(keys.createRsaKey(new CreateRsaKeyOptions(arguments[0])).getKeyType());
        } else {
            var secrets = new SecretClientBuilder().vaultUrl(vault).credential(credential).buildClient();
            System.out.println(secrets.getSecret(arguments[0]).getValue());
        }
        System.exit(0);
    }

    private static TokenCredential credential(String kind) {
        return switch (kind) {
            case "managed" -> new ManagedIdentityCredentialBuilder().build();
            case "secret" -> new ClientSecretCredentialBuilder()
                .tenantId(System.getenv("AZURE_TENANT_ID"))
                .clientId(System.getenv("AZURE_CLIENT_ID"))
                .clientSecret(System.getenv("AZURE_CLIENT_SECRET"))
                .disableInstanceDiscovery()
                .build();
            default -> new DefaultAzureCredentialBuilder().build();
        };
    }
}
