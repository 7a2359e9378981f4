package pki_test

import (
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/pki"
	"github.com/carillon-iot/carillon/pki/mtls"
)

func TestList(t *testing.T) {
	bothWays(t, func(t *testing.T, w *world, admin administration) {
		for _, id := range []mtls.Identity{device("x2"), bridge("b1"), device("x1")} {
			w.enroll(id)
		}
		names := func(f pki.Filter) string {
			holders, err := admin.List(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, h := range holders {
				out = append(out, strings.TrimPrefix(h.Identity, "urn:carillon:"))
			}
			return strings.Join(out, " ")
		}
		for want, f := range map[string]pki.Filter{
			"bridge:b1 device:x1 device:x2": {},
			"device:x1 device:x2":           {Role: mtls.RoleDevice},
			"device:x1":                     {ID: "x1"},
			"bridge:b1":                     {Role: mtls.RoleBridge, ID: "b1"},
			"":                              {Role: mtls.RoleBridge, ID: "x1"},
		} {
			if got := names(f); got != want {
				t.Errorf("List(%+v) = %q, want %q", f, got, want)
			}
		}
	})
}
