package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/schemas"
)

// mqtt is what a message costs the radio in MQTT 3.1.1: a PUBLISH with QoS 1
// (section 3.3) and its PUBACK (section 3.4).
func mqtt(topic schemas.Topic, payload int) int {
	rest := 2 + len(topic.String()) + 2 + payload
	header := 2
	for n := rest; n >= 128; n /= 128 {
		header++
	}
	return header + rest + 4
}

// cost is what everything said since the last call has cost.
func cost(b *agenttest.Bridge) (bytes, messages int) {
	b.Set(func(b *agenttest.Bridge) {
		for _, s := range b.Said {
			bytes += mqtt(schemas.UpTopic(agenttest.DeviceID), s.Bytes)
		}
		for _, n := range b.Sizes {
			bytes += mqtt(schemas.DownTopic(agenttest.DeviceID), n)
		}
		messages = len(b.Said) + len(b.Sizes)
		b.Said, b.Sizes = nil, nil
	})
	return bytes, messages
}

// A whole sign-in with a token of 900 bytes costs at most 1,800 bytes of MQTT,
// however long the person takes.
func TestBudget(t *testing.T) {
	const budget = 1800
	for name, wait := range map[string]time.Duration{"at once": 0, "in a minute": time.Minute, "in the last second": 118 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := agenttest.NewBridge(t)
				c := newCar(t, b, nil)
				c.enter("Anna")
				if _, err := c.SignOut(t.Context(), agent.Target{All: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				cost(b)
				id, err := c.SignIn(t.Context(), agent.Request{Scope: "seat climate", Person: "Anna"})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second + wait)
				b.Approve(id, "")
				time.Sleep(time.Second)
				c.wantState(id, agent.StateGranted)
				bytes, messages := cost(b)
				t.Logf("%d bytes in %d messages", bytes, messages)
				if bytes > budget || messages != 4 {
					t.Errorf("%d bytes in %d messages, want at most %d in 4", bytes, messages, budget)
				}
			})
		})
	}
}
