package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// loopback returns ip in the form to bind, or an error when it is reachable from outside this machine.
func loopback(ip string) (string, error) {
	if ip == "localhost" {
		return "127.0.0.1", nil
	}
	p := net.ParseIP(ip)
	if p == nil || !p.IsLoopback() {
		return "", fmt.Errorf("%w: --ip %s: only loopback addresses are bound (127.0.0.1, ::1, localhost)", errUsage, ip)
	}
	return p.String(), nil
}

// checkFree says clearly that a port is taken, before a server dies of it in its own words.
func checkFree(what, ip string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d for %s is taken on %s", port, what, ip)
	}
	if err != nil {
		return fmt.Errorf("listen for %s: %w", what, err)
	}
	return l.Close()
}

// freePorts returns n distinct free ports on ip. All are held until the last is known.
func freePorts(ip string, n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port on %s: %w", ip, err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
