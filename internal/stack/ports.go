package stack

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"golang.org/x/sys/unix"
)

const loopback = "127.0.0.1"

// choosePorts fills in the ports of cfg: those given must be free, those of the last start are preferred.
func choosePorts(cfg *Config, last state) error {
	preferred := map[*int]int{
		&cfg.TemporalPort: portOf(last.Temporal.Address),
		&cfg.UIPort:       last.Temporal.UIPort,
		&cfg.S3Port:       portOfURL(last.S3.Endpoint),
	}
	for _, f := range cfg.ports() {
		if *f.port != 0 {
			l, err := listen(*f.port)
			if errors.Is(err, unix.EADDRINUSE) {
				return mend("port %d for %s is taken on %s: stop what listens there, or give another port", *f.port, f.what, loopback)
			}
			if err != nil {
				return mend("port %d for %s: %w", *f.port, f.what, err)
			}
			defer l.Close() // held until all are chosen, so that no two are the same
			continue
		}
		l, err := listen(preferred[f.port])
		if err != nil {
			l, err = listen(0)
		}
		if err != nil {
			return fmt.Errorf("find a free port for %s: %w", f.what, err)
		}
		defer l.Close()
		*f.port = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", hostPort(port))
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// portOf returns the port of a loopback HOST:PORT, 0 when there is none to prefer.
func portOf(address string) int {
	host, p, err := net.SplitHostPort(address)
	if err != nil || host != loopback {
		return 0
	}
	port, _ := strconv.Atoi(p)
	return port
}

func portOfURL(s string) int {
	u, err := url.Parse(s)
	if err != nil {
		return 0
	}
	return portOf(u.Host)
}
