// Package enroll is the client of a Carillon authority: it trusts a root by its
// fingerprint, obtains a certificate for a key with a one-time token, renews it
// in time, and fetches the revocation list.
//
// It speaks the plain HTTPS API of step-ca (GET /root/{sha}, POST /sign, POST
// /renew, GET /crl) and imports the standard library and pki/mtls only, because
// it is linked into the agent.
//
// A device that holds nothing but a token begins so:
//
//	client, err := enroll.FromToken(ctx, token)
//	...
//	cert, err := client.Provision(ctx, files, token)
//
// and keeps its certificate alive so:
//
//	renewer := &enroll.Renewer{Client: client, Certificate: files.Certificate, Store: files.Store}
//	err := renewer.Run(ctx)
package enroll
