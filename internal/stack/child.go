package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	maxDeaths    = 5 // in a row, each within steadyAfter of its start
	firstBackoff = 100 * time.Millisecond
	steadyAfter  = time.Minute // a child that ran this long starts with a clean record
)

// child keeps one program running: it starts it again when it dies, a few times.
type child struct {
	program
	binary string
	lock   *os.File
	log    *slog.Logger

	changed func()        // called after every start
	stop    chan struct{} // closed by who wants it to stop
	gone    chan struct{} // closed when it has stopped for good; err is then valid
	err     error         // nil: stopped as asked
	pid     atomic.Int64  // 0: not running
}

// run keeps the program running until stop; first gets the result of the first start.
func (c *child) run(first chan<- error) {
	// The kernel ties a child to the thread that started it (childAttr): this goroutine keeps its thread for good.
	runtime.LockOSThread()
	defer close(c.gone)
	p, err := c.launch()
	first <- err // and not c.err: who starts has it
	for deaths := 0; p != nil; {
		born := time.Now()
		if c.watch(p) {
			return
		}
		if time.Since(born) > steadyAfter {
			deaths = 0
		}
		p, c.err = c.again(&deaths, fmt.Errorf("%w%s", exitError(p.err), logTail(c.program.log)))
	}
}

func (c *child) launch() (*process, error) {
	p, err := launch(c.program, c.binary, c.lock, c.stop)
	if err == nil {
		c.pid.Store(int64(p.cmd.Process.Pid))
	}
	return p, err
}

// watch returns when p has ended: true when that was asked for.
func (c *child) watch(p *process) (stopped bool) {
	defer c.pid.Store(0)
	select {
	case <-p.exited:
		p.lifeline.Close()
		return false
	case <-c.stop:
		c.err = p.end()
		return true
	}
}

// again starts the program after a death, with growing pauses; neither process nor error: stopped meanwhile.
func (c *child) again(deaths *int, death error) (*process, error) {
	for {
		if *deaths++; *deaths > maxDeaths {
			return nil, fmt.Errorf("%s died %d times in a row, the last time of: %w", c.name, *deaths, death)
		}
		pause := firstBackoff << (*deaths - 1)
		c.log.Warn("a part of the stack died and is started again", "part", c.name, "death", death, "after", pause)
		select {
		case <-c.stop:
			return nil, nil
		case <-time.After(pause):
		}
		p, err := c.launch()
		if err == nil {
			c.changed()
			return p, nil
		}
		if errors.Is(err, errStopped) {
			return nil, nil
		}
		death = err
	}
}
