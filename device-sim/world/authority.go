package world

import (
	"context"
	"net"
	"path/filepath"
	"time"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/enroll"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// startAuthority makes a new authority and serves its API.
func (w *World) startAuthority() error {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return err
	}
	w.authorityURL = "https://" + l.Addr().String()
	w.authority, err = pki.Open(pki.Config{
		Dir:    w.path("authority"),
		Create: &pki.Options{URL: w.authorityURL},
		Logger: w.cfg.Logger.With("part", "authority"),
	})
	if err != nil {
		l.Close()
		return err
	}
	w.roots = w.authority.Roots()
	w.begin("authority", func(ctx context.Context) error { return w.authority.Run(ctx, l) })
	if !w.remove { // somebody may want to revoke a device
		w.begin("authority's administration", func(ctx context.Context) error { return w.authority.RunAdmin(ctx, w.path("authority")) })
	}
	return nil
}

// enrol obtains a certificate at the authority's API, as everybody does.
func (w *World) enrol(ctx context.Context, id mtls.Identity, files *mtls.Files, names ...string) error {
	token, err := w.authority.Token(id, pki.TokenOptions{Names: names})
	if err != nil {
		return err
	}
	_, err = w.authorityClient().Provision(ctx, files, token)
	return err
}

func (w *World) authorityClient() *enroll.Client {
	return &enroll.Client{URL: w.authorityURL, Roots: w.roots}
}

// enrolDevice enrols a device, whose clock may be wrong; nil is the machine's.
func (w *World) enrolDevice(ctx context.Context, id schemas.DeviceID, files *mtls.Files, clock func() time.Time) error {
	token, err := w.authority.Token(mtls.Identity{Role: mtls.RoleDevice, ID: string(id)}, pki.TokenOptions{})
	if err != nil {
		return err
	}
	client := w.authorityClient()
	client.Clock = clock
	_, err = client.Provision(ctx, files, token)
	return err
}

// serverFiles enrols a server of this world.
func (w *World) serverFiles(ctx context.Context, role mtls.Role, name string) (*mtls.Files, error) {
	files := &mtls.Files{
		CertFile: filepath.Join(w.dir, name+".pem"), KeyFile: filepath.Join(w.dir, name+".key"),
		Logger: w.cfg.Logger,
	}
	return files, w.enrol(ctx, mtls.Identity{Role: role, ID: name}, files, loopback, "localhost")
}
