package bridge_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge"
	"github.com/carillon-iot/carillon/schemas"
)

// lazyDevice is found out when it is written.
type lazyDevice struct{}

func (lazyDevice) LogValue() slog.Value { return slog.AnyValue(schemas.DeviceID("car-1")) }

// Wherever a device is in a line, its pseudonym is written.
func TestVeil(t *testing.T) {
	const car = schemas.DeviceID("car-1")
	for name, log := range map[string]func(*slog.Logger){
		"attribute": func(l *slog.Logger) { l.Info("m", "device", car) },
		"With":      func(l *slog.Logger) { l.With("device", car).Info("m") },
		"group":     func(l *slog.Logger) { l.Info("m", slog.Group("who", slog.Group("and", "device", car))) },
		"WithGroup": func(l *slog.Logger) { l.WithGroup("g").With("device", car).Info("m") },
		"LogValuer": func(l *slog.Logger) { l.Info("m", "device", lazyDevice{}) },
	} {
		var out bytes.Buffer
		log(slog.New(bridge.Veil(slog.NewTextHandler(&out, nil), func(d schemas.DeviceID) string { return "pseudonym of " + strings.ToUpper(string(d)) })))
		if s := out.String(); strings.Contains(s, "car-1") || !strings.Contains(s, "pseudonym of CAR-1") {
			t.Errorf("%s: %s", name, s)
		}
	}
	var out bytes.Buffer
	slog.New(bridge.Veil(slog.NewTextHandler(&out, nil), func(schemas.DeviceID) string { return "somebody" })).
		With("a", 1).Info("m", "b", "car", "device", schemas.DeviceID(""))
	if s := out.String(); !strings.Contains(s, `msg=m a=1 b=car device=""`) {
		t.Errorf("the rest is not as it was: %s", s)
	}
}
