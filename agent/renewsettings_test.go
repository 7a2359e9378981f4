package agent_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/agent"
	"github.com/carillon-iot/carillon/agent/agenttest"
	"github.com/carillon-iot/carillon/agent/settings"
	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// Where the settings API does not take a token that has not expired here, one
// renewal brings another; it is not asked for again and again.
func TestSpurnedToken(t *testing.T) {
	v := vehicle.NewMemory(nil)
	settingsAPI := annasAPI()
	settingsAPI.set(nil, &settings.AnswerError{Status: 401})
	inCar(t, func(cfg *agent.Config) { cfg.Vehicle, cfg.Settings = v, settingsAPI }, func(t *testing.T, c *car, session schemas.ID) {
		time.Sleep(5 * time.Second)
		if n := len(c.b.Heard(schemas.KindRenew)); n != 1 {
			t.Errorf("%d renewals", n)
		}
		if s := c.session(); s.Settings != agent.SettingsFailed {
			t.Errorf("settings %q", s.Settings)
		}
	})
	settingsAPI.set(annasSettings(), nil)
	inCar(t, func(cfg *agent.Config) { cfg.Vehicle, cfg.Settings = v, onlyToken{settingsAPI, 1} }, func(t *testing.T, c *car, session schemas.ID) {
		time.Sleep(5 * time.Second)
		c.wantToken(session, 1)
		if s := c.session(); s.Settings != agent.SettingsApplied {
			t.Errorf("settings %q: %s", s.Settings, s.Problem)
		}
	})
}

// onlyToken is a settings API that takes no other token than the n-th.
type onlyToken struct {
	*api
	n int
}

func (o onlyToken) Fetch(ctx context.Context, t settings.Token) (settings.Document, error) {
	if !bytes.Equal(t.Access, agenttest.Token(o.n)) {
		return settings.Document{}, &settings.AnswerError{Status: 401}
	}
	return o.api.Fetch(ctx, t)
}

// Settings that the API could not give before the token ended come with the next.
func TestSettingsWithTheNextToken(t *testing.T) {
	v := vehicle.NewMemory(nil)
	settingsAPI := annasAPI()
	settingsAPI.set(nil, &settings.NetworkError{Err: errors.New("down")})
	inCar(t, func(cfg *agent.Config) { cfg.Vehicle, cfg.Settings = v, settingsAPI }, func(t *testing.T, c *car, session schemas.ID) {
		c.b.Set(func(b *agenttest.Bridge) { b.Deaf = true })
		time.Sleep(20 * time.Minute)
		if s := c.session(); s.Settings != agent.SettingsFetching || s.Problem == "" {
			t.Errorf("settings %q: %s", s.Settings, s.Problem)
		}
		settingsAPI.set(annasSettings(), nil)
		c.b.Set(func(b *agenttest.Bridge) { b.Deaf = false })
		time.Sleep(2 * time.Minute)
		if s := c.session(); s.Settings != agent.SettingsApplied || s.Problem != "" {
			t.Errorf("settings %q: %s", s.Settings, s.Problem)
		}
	})
}
