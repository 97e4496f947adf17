// Reads a secret, or signs with a key, by the official SDK for Go: NAME [CREDENTIAL] | sign NAME CREDENTIAL, where CREDENTIAL is
// default | managed [CLIENT_ID] at default settings, or secret | environment of a private authority.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func credential(arguments []string) (azcore.TokenCredential, error) {
	switch {
	case len(arguments) == 0 || arguments[0] == "default":
		return azidentity.NewDefaultAzureCredential(nil)
	case arguments[0] == "secret":
		options := azidentity.ClientSecretCredentialOptions{DisableInstanceDiscovery: true}
		tenant, client := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
		return azidentity.NewClientSecretCredential(tenant, client, os.Getenv("AZURE_CLIENT_SECRET"), &options)
	case arguments[0] == "environment":
		options := azidentity.DefaultAzureCredentialOptions{DisableInstanceDiscovery: true}
		return azidentity.NewDefaultAzureCredential(&options)
	case len(arguments) == 1:
		return azidentity.NewManagedIdentityCredential(nil)
	default:
		options := azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(arguments[1])}
		return azidentity.NewManagedIdentityCredential(&options)
	}
}

func read(arguments []string) (string, error) {
	credential, err := credential(arguments[1:])
	if err != nil {
		return "", err
	}
	client, err := azsecrets.NewClient(os.Getenv("VAULT_URL"), credential, nil)
	if err != nil {
		return "", err
	}
	secret, err := client.GetSecret(context.Background(), arguments[0], "", nil)
	if err != nil {
		return "", err
	}
	return *secret.Value, nil
}

// Without a version, as the SDK's own examples do: it is the latest that signs.
func sign(arguments []string) (string, error) {
	credential, err := credential(arguments[1:])
	if err != nil {
		return "", err
	}
	client, err := azkeys.NewClient(os.Getenv("VAULT_URL"), credential, nil)
	if err != nil {
		return "", err
	}
	digest, algorithm := sha256.Sum256([]byte("text")), azkeys.SignatureAlgorithmRS256
	asked := azkeys.SignParameters{Algorithm: &algorithm, Value: digest[:]}
	signed, err := client.Sign(context.Background(), arguments[0], "", asked, nil)
	if err != nil {
		return "", err
	}
	shown := azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digest[:], Signature: signed.Result}
	verified, err := client.Verify(context.Background(), arguments[0], "", shown, nil)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(*verified.Value), nil
}

func main() {
	do, arguments := read, os.Args[1:]
	if len(arguments) > 2 && arguments[0] == "sign" {
		do, arguments = sign, arguments[1:]
	}
	value, err := do(arguments)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(value)
}
