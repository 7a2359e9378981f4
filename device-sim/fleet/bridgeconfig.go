package fleet

import (
	"fmt"
	"os"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// bridgeConfig writes the configuration file of the bridge of a number from 0.
// Its policy knows no quotas and no cool-down: those are for people, and here the
// load is what is asked for.
func (c *cluster) bridgeConfig(i int, ops string) (path string, err error) {
	files, secret := c.creds.files(bridgeName(i)), c.path("client-secret")
	if err := os.WriteFile(secret, []byte(c.secret+"\n"), 0o600); err != nil {
		return "", err
	}
	scopes := []string{"profile"}
	for _, s := range provider.SampleScopes() {
		scopes = append(scopes, s.Name)
	}
	var b strings.Builder
	for _, l := range [][2]string{
		{"broker", c.broker},
		{"cert", files.CertFile},
		{"key", files.KeyFile},
		{"roots", c.brokerRootsFile()},
		{"device-roots", c.creds.rootsFile()},
		{"issuer", c.issuer},
		{"provider-roots", c.creds.rootsFile()},
		{"client-id", clientID},
		{"client-secret-file", secret},
		{"db", c.db},
		{"store-key", c.path("store.key")},
		{"seal-key", c.path("seal.key")},
		{"scopes", "car=" + strings.Join(scopes, ",")},
		{"min-expiry", "1s"},
		{"max-expiry", maxExpiry.String()},
		{"device-burst", "0"}, {"device-every", "0s"},
		{"person-burst", "0"}, {"person-every", "0s"},
		{"cool-down", "0s"},
		{"ops", ops},
	} {
		fmt.Fprintf(&b, "%s = %q\n", l[0], l[1])
	}
	path = c.path(bridgeName(i) + ".toml")
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}
