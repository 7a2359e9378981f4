package ciba_test

import (
	"errors"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest/hostile"
)

// playNotified plays a row of a provider that notifies, and returns how long it
// took.
func playNotified(t *testing.T, row hostile.Row) (tokens *ciba.Tokens, took time.Duration, err error) {
	d := newDesk(t, row.Provider)
	for range row.Others {
		req := hostile.Request()
		req.LoginHint = hostile.Other
		d.begin(t, "other", req, ciba.Expect{})
	}
	start := time.Now()
	ack := d.begin(t, "s1", hostile.Request(), hostile.Expect(start))
	if row.Provider.Delivery == "push" {
		tokens, err = d.awaitPush(ack)
	} else {
		tokens, err = d.awaitPing(t, ack, start)
	}
	took = time.Since(start)
	time.Sleep(time.Minute) // for what is still to come
	wantReplies(t, row.Provider, row.Replies...)
	return tokens, took, err
}

// awaitPing asks when a ping says so, and now and then without one.
func (d *desk) awaitPing(t *testing.T, ack ciba.Acknowledgement, start time.Time) (tokens *ciba.Tokens, err error) {
	poll, outcome := ciba.NewPingPoll(ack, start), ciba.OutcomePending
	for outcome == ciba.OutcomePending {
		select {
		case <-d.bell:
			poll = poll.AfterPing(time.Now())
			continue
		case <-time.After(time.Until(poll.Due)):
		}
		sent := time.Now()
		tokens, err = d.client.RequestToken(t.Context(), ciba.TokenRequest{AuthReqID: ack.AuthReqID, Expect: hostile.Expect(start)})
		poll, outcome = poll.After(sent, time.Now(), err)
	}
	if outcome == ciba.OutcomeExpired {
		err = errors.Join(ciba.ErrExpired, err)
	}
	return tokens, err
}

// awaitPush returns the first push, or nothing in the end.
func (d *desk) awaitPush(ack ciba.Acknowledgement) (*ciba.Tokens, error) {
	select {
	case <-d.bell:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.pushed[0], d.errs[0]
	case <-time.After(ack.Lifetime()):
		return nil, ciba.ErrExpired
	}
}
