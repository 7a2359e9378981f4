package world

import (
	"encoding/json"
	"os"

	"github.com/carillon-iot/carillon/device-sim/settings"
)

// guide is what a device that was not built with the world must be told to take
// part in it. It is kept as world.json.
type guide struct {
	Authority   string `json:"authority"`   // URL of its API
	Fingerprint string `json:"fingerprint"` // of its root, SHA-256 in hexadecimal
	Root        string `json:"root"`        // file
	Directory   string `json:"directory"`   // for carillon-pki --dir
	Broker      string `json:"broker"`      // host:port
	Settings    string `json:"settings"`    // URL that a person's settings are fetched from
	Issuer      string `json:"issuer"`      // of the OpenID provider
}

// writeGuide writes world.json, for a directory that somebody has asked for.
func (w *World) writeGuide(a addresses) error {
	if w.remove {
		return nil
	}
	text, err := json.MarshalIndent(guide{
		Authority: w.authorityURL, Fingerprint: w.authority.RootFingerprint(),
		Root: w.path("authority/root.crt"), Directory: w.path("authority"),
		Broker: a.broker.Addr().String(), Settings: a.settingsURL() + settings.Path, Issuer: w.issuer,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(w.path("world.json"), append(text, '\n'), 0o600)
}
