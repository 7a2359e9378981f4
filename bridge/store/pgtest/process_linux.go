package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a server's first process; the others are its children.
type process struct {
	pid   int
	ended chan struct{}
}

// startProcess starts cmd, which ends with this process: the thread that has
// started it stays with it, because the kernel watches threads.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // PostgreSQL's immediate shutdown
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

// kill ends the process and its children, and waits until they are gone.
func (p *process) kill() {
	pids := append([]int{p.pid}, children(p.pid)...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.ended
	for _, pid := range pids {
		for lives(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

func children(pid int) (pids []int) {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(list)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// lives reports whether a process is more than an entry that nobody has waited
// for: only then it has a program.
func lives(pid int) bool {
	_, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err == nil
}

// asOwner has cmd run as an ordinary user: this one, or where this is root, the
// first of these that exists.
func asOwner(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ordinary()
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// giveAway makes a directory the property of the user that asOwner chooses.
func giveAway(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := ordinary()
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

func ordinary() (uid, gid int, err error) {
	var u *user.User
	for _, name := range []string{"postgres", "nobody"} {
		if u, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("no user to run PostgreSQL as, which refuses root: %w", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}
