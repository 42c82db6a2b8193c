package stack

import "syscall"

// childAttr puts a child in its own process group, so that Ctrl-C reaches graft alone and graft stops its children in
// order; the kernel kills the child when the thread that started it dies.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
