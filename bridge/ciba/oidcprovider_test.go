package ciba_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// These tests run the client, over TLS, against a certified provider that
// nobody here wrote. It does not mind being asked before the interval is over,
// so they do not wait where they do not test waiting.

// An oidcTrial is a client that tries things: a column of a table.
type oidcTrial struct {
	op      *oidcProvider
	as      oidcClient
	client  *ciba.Client // of as
	other   *ciba.Client // of another one
	inquire oidcClient   // one with a secret
	desk    *pingDesk    // nil in poll mode
}

// An oidcRow is what happens, and the classes of the error that it must end in.
type oidcRow struct {
	name string
	try  func(oidcTrial, *testing.T) error
	want []error
}

// pollRows are those of every mode.
func pollRows() []oidcRow {
	return []oidcRow{
		{"approved", oidcTrial.approved, nil},
		{"not decided yet", oidcTrial.undecided, []error{ciba.ErrPending}},
		{"denied", oidcTrial.denied, []error{ciba.ErrDenied}},
		{"approved after it was denied", oidcTrial.deniedThenApproved, []error{ciba.ErrDenied}},
		{"nobody decided in time", oidcTrial.expired, []error{ciba.ErrExpired}},
		{"redeemed twice", oidcTrial.redeemedTwice, []error{ciba.ErrInvalidGrant}},
		{"redeemed by another client", oidcTrial.redeemedByAnother, []error{ciba.ErrInvalidGrant}},
		{"refreshed", oidcTrial.refreshed, nil},
		{"refreshed with a spent token", oidcTrial.refreshedTwice, []error{ciba.ErrInvalidGrant}},
		{"refreshed after it was revoked", oidcTrial.revoked, []error{ciba.ErrInvalidGrant}},
		{"unknown user", oidcTrial.unknownUser, []error{ciba.ErrUnknownUser}},
		{"binding message with a blank", oidcTrial.bindingMessage, []error{ciba.ErrInvalidBindingMessage}},
		{"user code missing", userCode(""), []error{ciba.ErrUserCode}},
		{"user code wrong", userCode("1357"), []error{ciba.ErrUserCode}},
		{"user code right", userCode("2468"), nil},
		{"unknown resource", oidcTrial.unknownResource, []error{ciba.ErrInvalidRequest}},
		{"wrong proof of the client, ringing", oidcTrial.wrongRinging, []error{ciba.ErrInvalidClient}},
		{"wrong proof of the client, redeeming", oidcTrial.wrongRedeeming, []error{ciba.ErrInvalidClient}},
	}
}

// TestInteropOIDCProvider fills a table for each delivery mode, with a row for
// what happens and a column for each client.
func TestInteropOIDCProvider(t *testing.T) {
	authority := mtlstest.New(t)
	polls := oidcClients(t, authority)
	var pings []oidcClient
	var desks []*pingDesk
	for _, c := range polls {
		desk, url := newPingDesk(t, authority)
		pings, desks = append(pings, c.pinging(url)), append(desks, desk)
	}
	all := slices.Concat(polls, pings)
	op := startOIDCProvider(t, authority, all)
	trials := op.trials(t, all)
	for i, desk := range desks {
		trial := &trials[len(polls)+i]
		trial.desk = desk
		desk.open(t, trial.client)
	}
	table := runOIDCRows(t, "poll", pollRows(), trials[:len(polls)])
	table += "\n" + runOIDCRows(t, "ping", append(pingRows(), pollRows()...), trials[len(polls):])
	if t.Failed() {
		return
	}
	want, err := os.ReadFile(oidcProviderDir + "/matrix.md")
	if err != nil || string(want) != table {
		t.Errorf("%s/matrix.md is not what happened, which is (%v):\n%s", oidcProviderDir, err, table)
	}
}

// trials returns a trial for each of clients.
func (op *oidcProvider) trials(t *testing.T, clients []oidcClient) []oidcTrial {
	t.Helper()
	trials := make([]oidcTrial, len(clients))
	for i, c := range clients {
		trials[i] = oidcTrial{op: op, as: c, client: op.client(t, c, c.right), inquire: clients[0]}
	}
	for i := range trials {
		trials[i].other = trials[(i+1)%len(trials)].client
	}
	return trials
}

// runOIDCRows lets every trial try every row, and returns the table of what the
// provider answered.
func runOIDCRows(t *testing.T, mode string, rows []oidcRow, trials []oidcTrial) string {
	t.Helper()
	cells := make([][]string, len(rows))
	t.Run(mode, func(t *testing.T) {
		for i, row := range rows {
			cells[i] = make([]string, len(trials))
			for j, trial := range trials {
				t.Run(row.name+"/"+trial.as.name, func(t *testing.T) {
					t.Parallel()
					err := row.try(trial, t)
					if row.want != nil {
						wantClasses(t, err, row.want...)
					} else if err != nil {
						t.Error(err)
					}
					cells[i][j] = oidcCell(err)
				})
			}
		}
	})
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", mode)
	for _, trial := range trials {
		fmt.Fprintf(&b, " %s |", trial.as.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(trials)) + "\n")
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.name, strings.Join(cells[i], " | "))
	}
	return b.String()
}

// oidcCell is what the provider answered in the end.
func oidcCell(err error) string {
	var e *ciba.Error
	switch {
	case err == nil:
		return "tokens"
	case errors.As(err, &e):
		return fmt.Sprintf("%d `%s`", e.Status, e.Code)
	default:
		return err.Error()
	}
}
