package fleet

import (
	"fmt"
	"syscall"
)

// filesBeside is how many files a process has open besides its connections.
const filesBeside = 200

// checkFiles reports whether this process, and the broker, may have a connection
// for each device. Go raises the soft limit to the hard one by itself.
func checkFiles(devices int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil // then the system will say it
	}
	if need := uint64(devices + filesBeside); uint64(limit.Max) < need {
		return fmt.Errorf("%d devices need %d open files, the limit is %d: raise it (ulimit -Hn)", devices, need, limit.Max)
	}
	return nil
}
