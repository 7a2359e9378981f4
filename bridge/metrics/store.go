package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// storage are the metrics of the store.
type storage struct {
	commit, write, batch prometheus.Histogram
	claim                family[prometheus.Observer]
	failures             prometheus.Counter
}

// commitBuckets are around the time of one fsync.
var commitBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

func (s *Set) newStorage() storage {
	return storage{
		commit:   s.histogram("store_commit_seconds", "Time of one transaction, with the wait for the disk.", commitBuckets),
		write:    s.histogram("store_write_seconds", "Time until one change is durable, with the wait for its turn.", commitBuckets),
		batch:    s.histogram("store_batch_writes", "Changes that share one transaction.", prometheus.ExponentialBuckets(1, 2, 10)),
		failures: s.counter("store_commit_failures_total", "Transactions that failed."),
		claim: s.histograms("store_claim_seconds", "Time to claim the rows that are due, by their state.", "state",
			[]string{"ringing", "waiting", "renewing", "answered"}, commitBuckets),
	}
}

// Committed says how long a transaction of so many changes took.
func (s *Set) Committed(changes int, took time.Duration, err error) {
	if s == nil {
		return
	}
	s.store.commit.Observe(took.Seconds())
	s.store.batch.Observe(float64(changes))
	if err != nil {
		s.store.failures.Inc()
	}
}

// Wrote says how long it took until one change was durable.
func (s *Set) Wrote(took time.Duration) {
	if s != nil {
		s.store.write.Observe(took.Seconds())
	}
}

// Claimed says how long it took to claim the rows in a state that are due.
func (s *Set) Claimed(state string, took time.Duration) {
	if s != nil {
		s.store.claim.with(state).Observe(took.Seconds())
	}
}
