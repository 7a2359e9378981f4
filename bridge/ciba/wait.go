package ciba

import (
	"context"
	"fmt"
	"time"
)

// Wait asks for tokens again and again, as [Poll] permits, until the person has
// decided, ack has expired, or ctx is done. Call it right after
// RequestAuthentication. It blocks; a program with very many sign-ins at a time
// keeps Polls instead.
//
// The error belongs to the class of what ended the wait: [ErrDenied],
// [ErrExpired], [ErrUnavailable], [ErrInterrupted], any other class of a final
// error of RequestToken, or the error of ctx.
func (c *Client) Wait(ctx context.Context, ack Acknowledgement, expect Expect) (*Tokens, error) {
	if err := c.mayAsk(); err != nil {
		return nil, err
	}
	poll := NewPoll(ack, time.Now())
	outcome := poll.Ended(poll.Due)
	var tokens *Tokens
	var err error
	for outcome == OutcomePending {
		if err := sleepUntil(ctx, poll.Due); err != nil {
			return nil, fmt.Errorf("ciba: waiting for the person: %w", err)
		}
		sent := time.Now()
		asking, cancel := context.WithDeadline(ctx, poll.GiveUp(sent))
		tokens, err = c.RequestToken(asking, TokenRequest{AuthReqID: ack.AuthReqID, Expect: expect})
		cancel()
		if ctx.Err() != nil && err != nil {
			return nil, err
		}
		poll, outcome = poll.After(sent, time.Now(), err)
	}
	if outcome == OutcomeGranted {
		return tokens, nil
	}
	return nil, outcomeError(outcome, err)
}

func sleepUntil(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
