package cibatest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
)

// Certificate presents another certificate than the right one.
func Certificate(edit func(*x509.Certificate)) Wire {
	return func(c *Conn) {
		c.Config = c.op.authority().config(c.op.host(), edit)
		c.Serve()
	}
}

// Stranger presents a certificate of an authority that nobody trusts.
func Stranger() Wire {
	return func(c *Conn) {
		c.Config = newAuthority().config(c.op.host(), nil)
		c.Serve()
	}
}

// OldTLS speaks TLS 1.1 at most.
func OldTLS() Wire {
	return func(c *Conn) {
		c.Config.MinVersion, c.Config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		c.Serve()
	}
}

// NoTLS speaks HTTP without TLS.
func NoTLS() Wire { return func(c *Conn) { c.serve(c.Conn) } }

// CutHandshake closes the connection when the client has begun the handshake of
// TLS.
func CutHandshake() Wire {
	return func(c *Conn) { c.Read(make([]byte, 1024)) }
}

// Silence reads what comes, and says nothing.
func Silence() Wire { return func(c *Conn) { io.Copy(io.Discard, c) } }

// RefuseCertificate ends the handshake because of the client's certificate.
func RefuseCertificate() Wire {
	return func(c *Conn) {
		c.Config.ClientAuth = tls.RequestClientCert
		c.Config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("no") }
		tls.Server(c.Conn, c.Config).Handshake() // tells the client
		io.Copy(io.Discard, c)                   // lets it hear
	}
}

// Reset closes the connection after the handshake, before a request is read.
func Reset() Wire {
	return func(c *Conn) { tls.Server(c.Conn, c.Config).Handshake() }
}

// Twice lets the truth happen and sends each answer two times, on a connection of
// which it says that it ends there. On one that goes on, HTTP/1.1 gives a client no
// way to tell the second from the answer to its next request.
func Twice() Wire {
	return func(c *Conn) {
		conn := tls.Server(c.Conn, c.Config)
		requests := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			a := newAnswer()
			a.serve(c.op, r)
			var both bytes.Buffer
			for range 2 {
				one := a.response(r, false)
				one.Close = true
				one.Write(&both)
			}
			both.WriteTo(conn)
		}
	}
}

// Raw reads a request and sends some bytes that need not be HTTP.
func Raw(answer string) Wire {
	return func(c *Conn) {
		conn := tls.Server(c.Conn, c.Config)
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, answer)
		}
		conn.Close()
	}
}
