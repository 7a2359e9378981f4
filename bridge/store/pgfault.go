package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// fault says of a driver's error whether it is about the statement or about the
// server. See PostgreSQL, Appendix A, for the codes.
func (p *postgres) fault(err error) error {
	var from *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &from): // no server has said so: it was not reached, or the time was over
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch from.Code {
	case "40001", // serialization_failure
		"40P01", // deadlock_detected
		"55P03": // lock_not_available
		return fmt.Errorf("%w: %w", errContended, err)
	case "25006": // read_only_sql_transaction: another server is the primary now
		p.reads.Reset()
		p.writes.Reset()
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case "57014", // query_canceled: by statement_timeout
		"25P03": // idle_in_transaction_session_timeout
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch from.Code[:2] {
	case "08", // connection_exception
		"28", // invalid_authorization_specification
		"53", // insufficient_resources: the disk is full, too many connections
		"57", // operator_intervention: shut down, starting up
		"58": // system_error
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
