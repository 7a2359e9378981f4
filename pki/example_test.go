package pki_test

import (
	"context"
	"crypto"
	"fmt"
	"log"
	"net"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// An authority whose intermediate key is in an HSM, on a listener of the
// caller's.
func ExampleOpen() {
	var hsmSigner crypto.Signer // from a TPM, PKCS#11 or a cloud
	authority, err := pki.Open(pki.Config{
		Dir:             "/var/lib/carillon/pki",
		Create:          &pki.Options{URL: "https://pki.example.com:9000"},
		IntermediateKey: hsmSigner, // made and kept elsewhere; needed at every start
	})
	if err != nil {
		log.Fatal(err)
	}
	defer authority.Close()
	listener, err := net.Listen("tcp", ":9000")
	if err != nil {
		log.Fatal(err)
	}
	if err := authority.Run(context.Background(), listener); err != nil {
		log.Fatal(err)
	}
}

// A device with its key in a TPM, and nothing else but a token.
func Example_device() {
	var tpmSigner crypto.Signer
	token := "eyJ…"
	ctx := context.Background()

	client, err := enroll.FromToken(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	files := &mtls.Files{CertFile: "device.crt", Key: tpmSigner} // the chain is kept in the file, the key is not
	cert, err := client.Provision(ctx, files, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(mtls.IdentityOf(cert.Leaf))
}
