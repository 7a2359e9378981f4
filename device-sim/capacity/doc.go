// Package capacity measures how much one bridge carries, and what bounds it. It
// has benchmarks and nothing else:
//
//	go test -run '^$' -bench . ./device-sim/capacity
//	go test -run '^$' -bench Million -timeout 30m ./device-sim/capacity -million 1000000 -interval 120s
//
// The bridge is carillon-bridge in a process of its own, on a database that waits
// for the disk. So is the provider, which answers at once. The broker and the
// devices are this process, and cost the bridge nothing: whoever wants to know what
// a whole fleet costs asks "device-sim fleet". What is compared is measured in one
// run, so that ratios do not depend on the machine.
package capacity
