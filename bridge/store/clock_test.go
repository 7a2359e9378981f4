package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Instants are stored by the database's clock, whatever this machine's says.
func TestClock(t *testing.T) {
	var theirs time.Duration // ahead of ours
	var failed error
	c := clock{asks: func(context.Context) (time.Time, error) { return time.Now().Add(theirs), failed }}
	now := time.UnixMilli(1_800_000_000_000)
	for _, step := range []struct {
		theirs time.Duration
		failed error
		want   time.Duration // by which stored instants are later
	}{
		{0, nil, 0},
		{clockSlack / 2, nil, 0}, // as good as no difference
		{time.Hour, nil, time.Hour},
		{time.Hour - clockSlack/2, nil, time.Hour},
		{-time.Minute, errors.New("no answer"), time.Hour},
		{-time.Minute, nil, -time.Minute},
		{0, nil, 0},
	} {
		theirs, failed = step.theirs, step.failed
		if err := c.compare(t.Context()); !errors.Is(err, step.failed) {
			t.Errorf("%v: %v", step.theirs, err)
		}
		stored := c.ms(now)
		if got := time.Duration(stored-now.UnixMilli()) * time.Millisecond; (got - step.want).Abs() > clockSlack/2 {
			t.Errorf("their clock is %v ahead, and instants are stored %v later", step.theirs, got)
		}
		if back := c.at(stored); !back.Equal(now) {
			t.Errorf("%v came back as %v", now, back)
		}
	}
	if c.ms(time.Time{}) != 0 || !c.at(0).IsZero() {
		t.Error("no instant is an instant")
	}
	if err := new(clock).compare(t.Context()); err != nil {
		t.Errorf("without a clock of its own: %v", err)
	}
}
