package bridge

import (
	"context"
	"fmt"
	"time"
)

// aliveFor is for how long a bridge counts that is not heard of: three
// heartbeats may fail, each of which comes a moment late. A bridge that is
// started anew meanwhile finds its share as it was.
const aliveFor = 3*housekeeping + 5*time.Second

// takeShare divides the polls that may be at the provider by the bridges that are
// alive, of which this one must be registered as one. To count polls instead would
// cost each of them a write to an index. A bridge counts twice for a while when its
// certificate was renewed.
func (b *Bridge) takeShare(ctx context.Context, now time.Time) error {
	n, err := b.cfg.Store.Living(ctx, now.Add(-aliveFor))
	if err != nil {
		return fmt.Errorf("counting the bridges: %w", err)
	}
	b.share.Store(int64(max(1, b.limits.Polls/n)))
	return nil
}
