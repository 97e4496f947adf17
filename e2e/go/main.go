// Reads a secret by the official SDK for Go, at default settings: NAME [default|managed [CLIENT_ID]].
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func credential(arguments []string) (azcore.TokenCredential, error) {
	switch {
	case len(arguments) == 0 || arguments[0] == "default":
		return azidentity.NewDefaultAzureCredential(nil)
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

func main() {
	value, err := read(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(value)
}
