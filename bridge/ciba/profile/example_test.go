package profile_test

import (
	"fmt"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
)

// A row says what to expect of a provider, and makes what it takes.
func ExampleNamed() {
	p, err := profile.Named("auth0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p, "has", p.Client.Delivery, "and takes", p.Hints.Kinds)
	fmt.Println("a phone rings for up to", p.Expiry.Push)
	fmt.Println(p.Binding.Check("Pay 25 €?"))
	fmt.Println(p.Binding.Check(p.Binding.New()))
	// Output:
	// Auth0 has [poll] and takes [login_hint]
	// a phone rings for up to 5m0s
	// has a character that is not one of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_.,:#"
	// <nil>
}

// A provider that is configured otherwise than its row says is a changed copy.
func ExampleProfile() {
	p, err := profile.Named("keycloak")
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Hints.Kinds = []string{profile.IDTokenHint} // as the realm's policy says
	p = p.WithFAPI()                              // as its client policy demands
	fmt.Println(p.Hints.Kinds, p.Client.Auth)
	// Output: [id_token_hint] [private_key_jwt tls_client_auth self_signed_tls_client_auth]
}
