import com.azure.core.credential.TokenCredential;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.identity.ManagedIdentityCredentialBuilder;
import com.azure.security.keyvault.secrets.SecretClientBuilder;

/** Reads a secret by the official SDK for Java, at default settings: NAME default|managed. */
class ReadSecret {
    public static void main(String[] arguments) {
        TokenCredential credential = arguments[1].equals("managed")
            ? new ManagedIdentityCredentialBuilder().build()
            : new DefaultAzureCredentialBuilder().build();
        var client = new SecretClientBuilder().vaultUrl(System.getenv("VAULT_URL")).credential(credential).buildClient();
        System.out.println(client.getSecret(arguments[0]).getValue());
        System.exit(0);
    }
}
