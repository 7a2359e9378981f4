package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/broker"
	"github.com/carillon-iot/carillon/pki/mtls"
	"github.com/carillon-iot/carillon/schemas"
)

// Everybody who could hold a certificate. The device and the bridge have one id
// on purpose: only the role tells them apart.
var everybody = []mtls.Identity{
	{Role: mtls.RoleDevice, ID: "a"},
	{Role: mtls.RoleBridge, ID: "a"},
	{Role: mtls.RoleBroker, ID: "a"},
	{Role: mtls.RoleServer, ID: "a"},
	{Role: "", ID: "a"},
	{Role: "other", ID: "a"},
}

// strings that name something, or try to.
var names = []string{
	"carillon/v1/a/up", "carillon/v1/a/down", "carillon/v1/b/up", "carillon/v1/b/down",
	"$share/bridge/carillon/v1/+/up", "$share/g-2/carillon/v1/+/up", "$share/bridge/carillon/v1/+/down",
	"$share/bridge/carillon/v1/a/up", "$share/bridge/carillon/v1/a/down", "$share/bridge/#", "$share/bridge/carillon/v1/#",
	"$share/bridge/carillon/+/+/up", "$share/+/carillon/v1/+/up", "$share/#/carillon/v1/+/up", "$share//carillon/v1/+/up",
	"$share/a/b/carillon/v1/+/up", "$share/carillon/v1/+/up", "$share/bridge/carillon/v1/+/up/", "$SHARE/bridge/carillon/v1/+/up",
	"$share/Bridge/carillon/v1/+/up", "$share/" + sixtyFive + "/carillon/v1/+/up", "$share/bridge//carillon/v1/+/up", "$share/bridge/$SYS/#",
	"$share", "$share/", "$share/bridge", "$queue/carillon/v1/+/up", "$exclusive/carillon/v1/a/down",
	"carillon/v1/+/up", "carillon/v1/+/down", "carillon/v1/#", "carillon/#", "#", "+", "+/+/+/+", "+/v1/a/down", "carillon/+/a/down",
	"carillon/v1/a/+", "carillon/v1/a/#", "carillon/v1/a/down/#", "carillon/v1/a/down/", "/carillon/v1/a/down", "carillon/v1/a/down/x",
	"carillon/v1//up", "carillon/v1//down", "carillon/v1/A/up", "carillon/v1/a/UP", "carillon/v1/a/Down", "Carillon/v1/a/down", "carillon/v2/a/down",
	"carillon/v1/a", "carillon/v1/a/", "carillon/v1/ab/down", "carillon/v1/a /down", "carillon/v1/a\x00/down", "carillon/v1/a\x00/up",
	"carillon/v1/a/b/down", "carillon/v1/../a/down", "carillon/v1/$SYS/down", "$SYS", "$SYS/#", "$SYS/broker/version", "$sys/broker", "",
	"carillon/v1/" + sixtyFive + "/up", "carillon/v1/" + sixtyFive + "/down",
}

const sixtyFive = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// The table is whole: whatever is not listed here is refused to everybody.
func TestPolicyTable(t *testing.T) {
	const device, bridge = mtls.RoleDevice, mtls.RoleBridge
	publish := map[string][]mtls.Role{
		"carillon/v1/a/up":    {device},
		"carillon/v1/a/down":  {bridge},
		"carillon/v1/b/down":  {bridge},
		"carillon/v1/ab/down": {bridge},
	}
	subscribe := map[string][]mtls.Role{
		"carillon/v1/a/down":             {device},
		"$share/bridge/carillon/v1/+/up": {bridge},
		"$share/g-2/carillon/v1/+/up":    {bridge},
	}
	receive := map[string][]mtls.Role{
		"carillon/v1/a/up":   {bridge},
		"carillon/v1/b/up":   {bridge},
		"carillon/v1/a/down": {device},
	}
	for _, who := range everybody {
		for _, name := range names {
			check(t, "publish", who, name, publish, broker.MayPublish(who, name, 1, false) == nil)
			check(t, "publish with QoS 0", who, name, publish, broker.MayPublish(who, name, 0, false) == nil)
			check(t, "subscribe", who, name, subscribe, broker.MaySubscribe(who, name) == nil)
			check(t, "receive", who, name, receive, broker.MayReceive(who, name))
			check(t, "publish with QoS 2", who, name, nil, broker.MayPublish(who, name, 2, false) == nil)
			check(t, "publish retained", who, name, nil, broker.MayPublish(who, name, 1, true) == nil)
		}
	}
	if err := broker.MaySubscribe(everybody[1], schemas.UpFilter); err != nil {
		t.Errorf("what bridges subscribe: %v", err)
	}
}

func check(t *testing.T, what string, who mtls.Identity, name string, table map[string][]mtls.Role, got bool) {
	t.Helper()
	want := false
	for _, role := range table[name] {
		want = want || role == who.Role
	}
	if got != want {
		t.Errorf("%s may %s %q: %v, want %v", who, what, name, got, want)
	}
}

func TestConnectTable(t *testing.T) {
	const longest = 20 * time.Minute
	right := map[mtls.Identity]string{everybody[0]: "a", everybody[1]: "bridge:a"}
	for _, who := range everybody {
		for _, id := range []string{"a", "bridge:a", "device:a", "broker:a", "b", "A", "a ", "", "a\x00", "bridge:b"} {
			for _, version := range []byte{0, 3, 4, 5, 131, 132} {
				for _, keepAlive := range []time.Duration{0, 1, time.Second, longest, longest + time.Second} {
					for _, will := range []bool{false, true} {
						err := broker.MayConnect(who, version, id, keepAlive, longest, will)
						want := id != "" && right[who] == id && version == 4 && keepAlive > 0 && keepAlive <= longest && !will
						if (err == nil) != want {
							t.Errorf("%s as %q, level %d, keep alive %v, will %v: %v", who, id, version, keepAlive, will, err)
						}
					}
				}
			}
		}
	}
}

// Whatever strange strings there are, what somebody may do stays inside the
// topics of their role.
func FuzzPolicy(f *testing.F) {
	for _, name := range names {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		device, bridge := everybody[0], everybody[1]
		if broker.MayPublish(device, name, 1, false) == nil && name != "carillon/v1/a/up" {
			t.Errorf("a device may publish %q", name)
		}
		if broker.MaySubscribe(device, name) == nil && name != "carillon/v1/a/down" {
			t.Errorf("a device may subscribe %q", name)
		}
		if broker.MayPublish(bridge, name, 1, false) == nil {
			if topic, err := schemas.ParseTopic(name); err != nil || topic.Way != schemas.Down {
				t.Errorf("a bridge may publish %q", name)
			}
		}
		if broker.MaySubscribe(bridge, name) == nil {
			var group string
			if n, _ := fmt.Sscanf(name, "$share/%s", &group); n != 1 || len(name) > len("$share/"+"/carillon/v1/+/up")+64 {
				t.Errorf("a bridge may subscribe %q", name)
			}
		}
	})
}
