package pgtest

import (
	"context"
	"strconv"
)

// Replica makes a streaming replica of the server and waits until it serves
// reads.
func (s *Server) Replica(ctx context.Context) (*Server, error) {
	r, err := newServer(s.cfg)
	if err != nil {
		return nil, err
	}
	err = r.run(ctx, "pg_basebackup", "-D", r.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", superuser,
		"--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync")
	if err == nil {
		err = r.Restart(ctx)
	}
	if err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// Synchronous has the server confirm what its replicas have on their disks too,
// so that nothing it has confirmed is lost with it.
func (s *Server) Synchronous(ctx context.Context) error {
	if err := s.Exec(ctx, "ALTER SYSTEM SET synchronous_standby_names = '*'"); err != nil {
		return err
	}
	return s.Exec(ctx, "SELECT pg_reload_conf()")
}

// Promote makes a replica a server of its own, which can be written to, and
// waits for that.
func (s *Server) Promote(ctx context.Context) error { return s.Exec(ctx, "SELECT pg_promote()") }
