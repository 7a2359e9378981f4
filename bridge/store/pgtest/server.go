package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the name of every server's superuser, who needs no password.
const superuser = "postgres"

// A Server is a PostgreSQL server with a directory of its own. Its methods are
// not for several goroutines at once, but for DSN and Database.
type Server struct {
	bin  string // directory of the programs
	dir  string // holds data and log
	cfg  Config
	port int

	databases atomic.Int64 // made so far
	proc      *process     // nil while it does not run
}

// Start makes a new, empty server and waits until it serves.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	err = s.run(ctx, "initdb", "-D", s.data(), "-U", superuser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err == nil {
		err = s.Restart(ctx)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// newServer makes the directory of a server that is yet to be filled.
func newServer(cfg Config) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	if err := giveAway(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: %w", err), os.RemoveAll(dir))
	}
	return &Server{bin: bin, dir: dir, cfg: cfg}, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// dsn is the address of a database of the server.
func (s *Server) dsn(database string) string {
	return "postgres://" + superuser + "@" + s.address() + "/" + database + "?sslmode=disable"
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// DSN is the address of the server's first database, as a URL.
func (s *Server) DSN() string { return s.dsn("postgres") }

// DSN is the address of the first database of several servers, of which the one
// that can be written to is meant.
func DSN(servers ...*Server) string {
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.address())
	}
	return "postgres://" + superuser + "@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable&target_session_attrs=read-write"
}

// Database makes a new, empty database on the server and returns its address.
func (s *Server) Database(ctx context.Context) (dsn string, err error) {
	name := fmt.Sprintf("db%d", s.databases.Add(1))
	if err := s.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.dsn(name), nil
}

// Exec runs a statement in the server's first database, as its superuser.
func (s *Server) Exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("pgtest: %q: %w", statement, err)
	}
	return nil
}

// Restart starts the server again after Kill, with what it has on its disk. It
// has the same address as before.
func (s *Server) Restart(ctx context.Context) error {
	fresh := s.port == 0
	for attempt := 1; ; attempt++ {
		if fresh {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		err := s.start(ctx)
		if err == nil || !fresh || ctx.Err() != nil || attempt == 5 { // somebody may have taken the port meanwhile
			return err
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgtest: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start runs the server and waits until it serves.
func (s *Server) start(ctx context.Context) error {
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(s.port), "unix_socket_directories": "",
		"fsync": "off", "max_connections": "200",
	}
	if s.cfg.Fsync {
		settings["fsync"] = "on"
	}
	maps.Copy(settings, s.cfg.Settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd, err := s.command(context.Background(), "postgres", args...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if s.proc, err = startProcess(cmd); err != nil {
		return fmt.Errorf("pgtest: starting a server: %w", err)
	}
	if err := s.await(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("pgtest: the server does not come up: %w\n%s", err, s.Log())
	}
	return nil
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := s.Exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.proc.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// PID is the number of the server's first process, whose children the others are;
// 0 while it does not run.
func (s *Server) PID() int {
	if s.proc == nil {
		return 0
	}
	return s.proc.pid
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Kill ends all processes of the server at once, as a machine that dies would.
func (s *Server) Kill() {
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

// Stop ends the server and removes its directory. It may be called more than
// once.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	cmd, err := s.command(ctx, program, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: %s: %w\n%s", program, err, out)
	}
	return nil
}

// command is one of PostgreSQL's programs, as the user that owns the directory.
func (s *Server) command(ctx context.Context, program string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	if err := asOwner(cmd); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	return cmd, nil
}
