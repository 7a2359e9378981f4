package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/fleet/report"
)

// A run is one load, from nothing to nothing.
type run struct {
	cfg     Config
	dir     string
	logs    []*os.File // of what runs in this process
	creds   *credentials
	cluster *cluster
	crowd   *crowd
	load    *load
	chaos   *chaos
	in      report.Input

	telling sync.Mutex // held while Happened or Progress is called
}

// Run does it all: it enrols and connects the devices, puts the load on, kills
// what is to be killed, waits until every sign-in is over, and ends everything.
//
// When ctx ends during the load, the report is of what was done until then, and
// the error is ctx's. With any other error there is no report.
func Run(ctx context.Context, cfg Config) (report.Report, error) {
	if err := cfg.Validate(); err != nil {
		return report.Report{}, fmt.Errorf("fleet: %w", err)
	}
	cfg.withDefaults()
	r := &run{cfg: cfg}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := r.build(working)
	if err == nil {
		go r.mind(working, cancel)
		err = r.measure(working)
	}
	if cause := context.Cause(working); cause != nil && ctx.Err() == nil {
		err = cause // a part has failed, and the rest follows from that
	}
	if closing := r.close(); err == nil {
		err = closing
	}
	if err != nil {
		return report.Report{}, err
	}
	return report.New(r.in), ctx.Err()
}

// mind ends the run when a part fails.
func (r *run) mind(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case err := <-r.cluster.failed:
		cancel(err)
	case <-ctx.Done():
	}
}

// tell passes on an event.
func (r *run) tell(e Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if r.cfg.Happened != nil {
		r.cfg.Happened(e)
	}
}

// show passes on how far the run is, until ctx ends.
func (r *run) show(ctx context.Context) {
	if r.cfg.Progress == nil {
		return
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		p := r.load.progress(time.Now())
		p.Connected = int(r.crowd.connected.Load())
		r.telling.Lock()
		r.cfg.Progress(p)
		r.telling.Unlock()
	}
}

// build makes everything, and starts all but the devices.
func (r *run) build(ctx context.Context) error {
	if err := r.makeDir(); err != nil {
		return err
	}
	if err := r.enrol(); err != nil {
		return fmt.Errorf("enrolling: %w", err)
	}
	db, err := r.cfg.Store.Open(ctx, r.dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if r.cluster, err = newCluster(r.cfg, r.dir, db, r.creds); err != nil {
		return err
	}
	if err := r.cluster.start(ctx); err != nil {
		return err
	}
	r.tell(Event{What: "up", Text: r.cluster.describe()})
	return nil
}

func (r *run) makeDir() (err error) {
	if r.dir = r.cfg.Dir; r.dir == "" {
		r.dir, err = os.MkdirTemp("", "carillon-fleet-")
	} else {
		err = os.MkdirAll(r.dir, 0o700)
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("directory %q is not empty: it holds %q", r.dir, entries[0].Name())
	}
	return nil
}

// logger writes to a file of the directory.
func (r *run) logger(name string) (*slog.Logger, error) {
	file, err := os.OpenFile(filepath.Join(r.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r.logs = append(r.logs, file)
	return slog.New(slog.NewTextHandler(file, nil)), nil
}

func (r *run) enrol() (err error) {
	began := time.Now()
	authority := r.cfg.Authority
	if authority == "" {
		authority = filepath.Join(r.dir, "authority")
	}
	log, err := r.logger("authority")
	if err != nil {
		return err
	}
	r.creds, err = enrol(authority, r.dir, r.cfg, log)
	if err != nil {
		return err
	}
	took := time.Since(began)
	r.in.Connecting.Enrolling = took
	r.tell(Event{What: "enrolled", Text: fmt.Sprintf("%d devices have a key and a certificate, after %d ms", r.cfg.Devices, took.Milliseconds())})
	return nil
}

// close ends everything, the latest first. What was not begun is not there.
func (r *run) close() error {
	var errs []error
	if r.crowd != nil {
		errs = append(errs, r.crowd.close())
	}
	if r.cluster != nil {
		errs = append(errs, r.cluster.stop())
	}
	errs = append(errs, r.cfg.Store.Close())
	for _, file := range r.logs {
		errs = append(errs, file.Close())
	}
	if r.cfg.Dir == "" && r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}
