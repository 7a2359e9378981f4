package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has cost. Fields that the system does not tell are 0.
type Usage struct {
	// CPU is the time that it has computed, in user mode and in the kernel.
	CPU time.Duration
	// Resident is the memory that it holds now, Peak the most it ever held, in
	// bytes.
	Resident, Peak int64
}

// Usage is what the child has cost so far. After its end that is exact, and
// Resident is 0; before it, it is read from /proc, where there is one, to a
// hundredth of a second.
func (c *Child) Usage() Usage {
	select {
	case <-c.done:
	default:
		return UsageOf(c.PID())
	}
	state := c.cmd.ProcessState
	if state == nil {
		return Usage{}
	}
	u := Usage{CPU: state.UserTime() + state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.Peak = r.Maxrss << 10 // kilobytes on Linux
	}
	return u
}

// Own is what this process has cost so far, without its children.
func Own() Usage {
	u := UsageOf(os.Getpid())
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil { // finer than /proc
		u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u
}

// clockTick is the unit of times in /proc (USER_HZ), which Linux has fixed at
// this on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// UsageOf reads what a living process has cost from /proc (proc_pid_stat(5),
// proc_pid_status(5)).
func UsageOf(pid int) Usage {
	var u Usage
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		u.CPU = cpuOf(stat, utime, stime)
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		u.Resident, u.Peak = kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")
	}
	return u
}

// FamilyUsage is what a living process, its children and those of its children
// that have ended have cost, such as a database server and its connections.
// Memory that they share counts once (proportional set size); Peak is not known.
func FamilyUsage(pid int) Usage {
	var u Usage
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		u.CPU = cpuOf(stat, utime, stime, cutime, cstime)
	}
	u.Resident = proportional(pid)
	for _, child := range children(pid) {
		u.CPU += UsageOf(child).CPU
		u.Resident += proportional(child)
	}
	return u
}

// children are those of all threads of a process.
func children(pid int) (pids []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a good pattern
	for _, name := range threads {
		list, _ := os.ReadFile(name)
		for _, field := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// proportional is the memory of a process of which what it shares counts in part.
func proportional(pid int) int64 {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	return kilobytes(rollup, "Pss:")
}

// Fields of /proc/PID/stat: ticks in user mode and in the kernel, of the process
// and of its children that it has waited for.
const (
	utime  = 14
	stime  = 15
	cutime = 16
	cstime = 17
)

// cpuOf adds up fields. The second one is a name in brackets that may hold
// anything.
func cpuOf(stat []byte, fields ...int) time.Duration {
	third := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks int64
	for _, i := range fields {
		if i-3 < len(third) {
			n, _ := strconv.ParseInt(string(third[i-3]), 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick
}

// kilobytes returns the value of a line such as "VmRSS:  12 kB", in bytes.
func kilobytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == name {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}
