package bridge

import (
	"context"
	"log/slog"
	"slices"

	"github.com/carillon-iot/carillon/schemas"
)

// A veil is a handler of logs that writes pseudonyms for devices, so that nobody
// who adds a line has to think of it. It knows them by their type: an id that is
// part of a text is not seen.
type veil struct {
	slog.Handler
	name func(schemas.DeviceID) string
}

// Handle implements [slog.Handler].
func (v veil) Handle(ctx context.Context, r slog.Record) error {
	veiled := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		veiled.AddAttrs(v.attr(a))
		return true
	})
	return v.Handler.Handle(ctx, veiled)
}

// WithAttrs implements [slog.Handler].
func (v veil) WithAttrs(attrs []slog.Attr) slog.Handler {
	return veil{v.Handler.WithAttrs(v.attrs(attrs)), v.name}
}

// WithGroup implements [slog.Handler].
func (v veil) WithGroup(name string) slog.Handler { return veil{v.Handler.WithGroup(name), v.name} }

func (v veil) attrs(attrs []slog.Attr) []slog.Attr {
	veiled := slices.Clone(attrs)
	for i := range veiled {
		veiled[i] = v.attr(veiled[i])
	}
	return veiled
}

func (v veil) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindGroup:
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(v.attrs(value.Group())...)}
	case slog.KindAny:
		if d, ok := value.Any().(schemas.DeviceID); ok && d != "" {
			return slog.String(a.Key, v.name(d))
		}
	}
	return slog.Attr{Key: a.Key, Value: value}
}
