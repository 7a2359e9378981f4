package ciba_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// These tests run the client, over TLS, against a certified provider that
// nobody here wrote. It does not mind being asked before the interval is over,
// so they do not wait where they do not test waiting.

// An oidcTrial is one cell of the table.
type oidcTrial struct {
	op      *oidcProvider
	as      oidcClient
	client  *ciba.Client // of as
	other   *ciba.Client // of another one
	inquire oidcClient   // one with a secret
}

// oidcRows are the rows of the table: what happens, and the classes of the
// error that it must end in.
var oidcRows = []struct {
	name string
	try  func(oidcTrial, *testing.T) error
	want []error
}{
	{"approved", oidcTrial.approved, nil},
	{"not decided yet", oidcTrial.undecided, []error{ciba.ErrPending}},
	{"denied", oidcTrial.denied, []error{ciba.ErrDenied}},
	{"approved after it was denied", oidcTrial.deniedThenApproved, []error{ciba.ErrDenied}},
	{"nobody decided in time", oidcTrial.expired, []error{ciba.ErrExpired}},
	{"redeemed twice", oidcTrial.redeemedTwice, []error{ciba.ErrInvalidGrant}},
	{"redeemed by another client", oidcTrial.redeemedByAnother, []error{ciba.ErrInvalidGrant}},
	{"unknown user", oidcTrial.unknownUser, []error{ciba.ErrUnknownUser}},
	{"binding message with a blank", oidcTrial.bindingMessage, []error{ciba.ErrInvalidBindingMessage}},
	{"user code missing", userCode(""), []error{ciba.ErrUserCode}},
	{"user code wrong", userCode("1357"), []error{ciba.ErrUserCode}},
	{"user code right", userCode("2468"), nil},
	{"unknown resource", oidcTrial.unknownResource, []error{ciba.ErrInvalidRequest}},
	{"wrong proof of the client, ringing", oidcTrial.wrongRinging, []error{ciba.ErrInvalidClient}},
	{"wrong proof of the client, redeeming", oidcTrial.wrongRedeeming, []error{ciba.ErrInvalidClient}},
}

func TestInteropOIDCProvider(t *testing.T) {
	authority := mtlstest.New(t)
	clients := oidcClients(t, authority)
	op := startOIDCProvider(t, authority, clients)
	cells := make([][]string, len(oidcRows))
	t.Run("poll", func(t *testing.T) {
		for i, row := range oidcRows {
			cells[i] = make([]string, len(clients))
			for j, as := range clients {
				t.Run(row.name+"/"+as.name, func(t *testing.T) {
					t.Parallel()
					next := clients[(j+1)%len(clients)]
					err := row.try(oidcTrial{
						op: op, as: as, client: op.client(t, as, as.right),
						other: op.client(t, next, next.right), inquire: clients[0],
					}, t)
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
	compareOIDCTable(t, clients, cells)
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

// compareOIDCTable holds what happened against the table that is published.
func compareOIDCTable(t *testing.T, clients []oidcClient, cells [][]string) {
	t.Helper()
	if t.Failed() {
		return
	}
	var b strings.Builder
	b.WriteString("| poll |")
	for _, c := range clients {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(clients)) + "\n")
	for i, row := range oidcRows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.name, strings.Join(cells[i], " | "))
	}
	want, err := os.ReadFile(oidcProviderDir + "/matrix.md")
	if err != nil || string(want) != b.String() {
		t.Errorf("the table in %s/matrix.md is not what happened, which is (%v):\n%s", oidcProviderDir, err, &b)
	}
}
