package ciba_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/bridge/ciba"
)

// An interopRow is what happens, and the classes of the error in which it must
// end; none is success.
type interopRow struct {
	name string
	try  func(*interopTrial, *testing.T) error
	want []error
	// modes are those that have such a case, all if there are none.
	modes []ciba.DeliveryMode
	// unless says why a client has no such case, "" if it has; nil if all have.
	unless func(interopClient) string
}

// interopRows are all rows.
func interopRows(repeated repeatedProof) []interopRow {
	return slices.Concat(decisionRows(), askRows(), pingRows(), pushRows(), accessRows(), keyRows(repeated), refreshRows())
}

// An interopTable is what a provider answered in one delivery mode.
type interopTable struct {
	mode    ciba.DeliveryMode
	rows    []interopRow
	columns []string   // the clients' names
	cells   [][]string // by row, then by column
	tried   []int      // cases by column, without those that are none
}

// runInterop lets the trials of one mode try the rows.
func runInterop(t *testing.T, mode ciba.DeliveryMode, rows []interopRow, trials []*interopTrial) interopTable {
	t.Helper()
	table := interopTable{mode: mode, rows: rows, cells: make([][]string, len(rows)), tried: make([]int, len(trials))}
	for _, trial := range trials {
		table.columns = append(table.columns, trial.as.name)
	}
	t.Run(string(mode), func(t *testing.T) {
		for i, row := range rows {
			table.cells[i] = make([]string, len(trials))
			for j, trial := range trials {
				if why := row.none(mode, trial.as); why != "" {
					table.cells[i][j] = "none: " + why
					continue
				}
				table.tried[j]++
				t.Run(row.name+"/"+trial.as.name, func(t *testing.T) {
					t.Parallel()
					table.cells[i][j] = row.run(t, trial)
				})
			}
		}
	})
	return table
}

// none says why a client of a mode has no such case.
func (r interopRow) none(mode ciba.DeliveryMode, c interopClient) string {
	if r.modes != nil && !slices.Contains(r.modes, mode) {
		return fmt.Sprintf("not with %s", mode)
	}
	if r.unless == nil {
		return ""
	}
	return r.unless(c)
}

// run returns the cell.
func (r interopRow) run(t *testing.T, trial *interopTrial) string {
	err := r.try(trial, t)
	if r.want != nil {
		wantClasses(t, err, r.want...)
	} else if err != nil {
		t.Error(err)
	}
	cell := interopOutcome(err)
	if remark := trial.peer.remarks[r.name]; remark != "" {
		cell += ", " + remark
	}
	return cell
}

// interopOutcome is how a case ended.
func interopOutcome(err error) string {
	var answer *ciba.Error
	var token *ciba.IDTokenError
	switch {
	case err == nil:
		return "tokens"
	case errors.As(err, &answer) && answer.Status == 0:
		return fmt.Sprintf("pushed `%s`", answer.Code)
	case errors.As(err, &answer):
		return fmt.Sprintf("%d `%s`", answer.Status, answer.Code)
	case errors.As(err, &token):
		return fmt.Sprintf("tokens refused: `%s`", token.Check)
	default:
		return err.Error()
	}
}

// partial reports whether some case was left out by -run.
func (table interopTable) partial() bool {
	return slices.ContainsFunc(table.cells, func(row []string) bool { return slices.Contains(row, "") })
}

// markdown is the table, one line a row.
func (table interopTable) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s |\n", table.mode, strings.Join(table.columns, " | "))
	b.WriteString("|---|" + strings.Repeat("---|", len(table.columns)) + "\n")
	for i, row := range table.rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.name, strings.Join(table.cells[i], " | "))
	}
	return b.String()
}

// holdInterop holds what happened at a provider against what is written down:
// every cell in a file, and the number of cases in docs/providers.md. without
// says which modes the provider does not have.
func holdInterop(t *testing.T, peer, file string, tables []interopTable, without map[ciba.DeliveryMode]string) {
	t.Helper()
	var all []string
	for _, table := range tables {
		if t.Failed() || table.partial() {
			return // what happened should not be written down, or was not all asked for
		}
		all = append(all, table.markdown())
	}
	holdFile(t, file, strings.Join(all, "\n"))

	var summary strings.Builder
	for j, column := range tables[0].columns {
		fmt.Fprintf(&summary, "| %s | %s |", peer, column)
		for _, mode := range []ciba.DeliveryMode{ciba.DeliveryPoll, ciba.DeliveryPing, ciba.DeliveryPush} {
			cell := without[mode]
			for _, table := range tables {
				if table.mode == mode {
					cell = fmt.Sprintf("%d cases", table.tried[j])
				}
			}
			fmt.Fprintf(&summary, " %s |", cell)
		}
		summary.WriteByte('\n')
	}
	name, _, _ := strings.Cut(peer, " ")
	holdLines(t, providersDoc, "matrix", "| "+name+" ", summary.String())
}
