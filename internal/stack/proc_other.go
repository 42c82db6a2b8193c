//go:build !linux

package stack

import "syscall"

// childAttr puts a child in its own process group, so that Ctrl-C reaches graft alone. Where the kernel does not kill
// it with its parent, the end of its standard input tells it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
