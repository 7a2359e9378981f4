package link

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// maxString is the longest string that MQTT can carry (section 1.5.3).
const maxString = 65535

// check fills in what is zero and refuses what cannot work.
func (c *Config) check() error {
	switch {
	case c.Dial == nil:
		return errors.New("no Dial function given")
	case c.ClientID == "" || len(c.ClientID) > maxString:
		return fmt.Errorf("client id has %d bytes, want 1 to %d", len(c.ClientID), maxString)
	case len(c.Subscribe) > 0 && c.Handler == nil:
		return fmt.Errorf("nobody to handle what %q brings: no Handler given", c.Subscribe)
	}
	for _, f := range c.Subscribe {
		if err := checkFilter(f); err != nil {
			return err
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return errors.Join(
		defaulted("keep alive", &c.KeepAlive, time.Minute, 5*time.Second, 18*time.Hour),
		defaulted("least backoff", &c.MinBackoff, min(time.Second, orMax(c.MaxBackoff)), time.Millisecond, orMax(c.MaxBackoff)),
		defaulted("greatest backoff", &c.MaxBackoff, max(2*time.Minute, c.MinBackoff), time.Millisecond, 24*time.Hour),
		defaulted("connect timeout", &c.ConnectTimeout, 30*time.Second, time.Millisecond, time.Hour),
		defaulted("largest packet", &c.MaxPacket, 64<<10, 64, 1<<28-1),
		defaulted("queue", &c.Queue, 1024, 1, 1<<20),
		wholeSeconds(c.KeepAlive),
	)
}

// orMax returns the limit that an unset greatest backoff puts on the least one.
func orMax(d time.Duration) time.Duration {
	if d == 0 {
		return 24 * time.Hour
	}
	return d
}

func defaulted[T time.Duration | int](name string, v *T, zero, least, most T) error {
	if *v == 0 {
		*v = zero
	}
	if *v < least || *v > most {
		return fmt.Errorf("%s is %v, want %v to %v", name, *v, least, most)
	}
	return nil
}

// wholeSeconds: MQTT knows no fractions, and to cut one off would ping later
// than the caller believes.
func wholeSeconds(d time.Duration) error {
	if d%time.Second != 0 {
		return fmt.Errorf("keep alive is %v, want whole seconds", d)
	}
	return nil
}

// checkFilter holds a topic filter against MQTT 3.1.1 section 4.7.
func checkFilter(filter string) error {
	if filter == "" || len(filter) > maxString {
		return fmt.Errorf("topic filter has %d bytes, want 1 to %d", len(filter), maxString)
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i == len(levels)-1, level == "+":
		case strings.ContainsAny(level, "#+\x00"):
			return fmt.Errorf("topic filter %q: a wildcard must be a whole level, and # the last", filter)
		}
	}
	return nil
}

// checkTopic holds the topic of a publish against the same section.
func checkTopic(topic string) error {
	if topic == "" || len(topic) > maxString {
		return fmt.Errorf("topic has %d bytes, want 1 to %d", len(topic), maxString)
	}
	if strings.ContainsAny(topic, "#+\x00") {
		return fmt.Errorf("topic %q contains a wildcard", topic)
	}
	return nil
}
