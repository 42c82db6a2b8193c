package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Process is one running trainer child. Its methods may be called from several goroutines.
type Process struct {
	cfg   Config
	cmd   *exec.Cmd
	enc   *protocol.Encoder
	stdin io.Closer
	tail  *tail
	ready protocol.Ready
	kills string        // by the kernel, counted when it started
	done  chan struct{} // closed when the process is gone and lost is whole

	job sync.Mutex // held by Do

	mu        sync.Mutex
	listener  *listener
	lost      *LostError // set once; its Exit and Last when done is closed
	exited    bool
	listening time.Time // since when the reader waits for a message; zero while one is handled
	alive     protocol.Alive
}

// listener takes the messages of the greeting or of one job.
type listener struct {
	messages chan protocol.Message
	gone     chan struct{}
}

// Start runs a child and waits until it is ready. Errors are *LostError once it runs.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Process{cfg: cfg, tail: &tail{}, done: make(chan struct{}), kills: kernelKills()}
	greeting := p.listen()
	defer p.unlisten(greeting)
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("start trainer child: %w", err)
	}
	if err := p.greet(ctx, greeting); err != nil {
		p.kill(Protocol, err)
		<-p.done
		return nil, p.Lost()
	}
	go p.watch()
	return p, nil
}

// start runs the program, in its own process group and, on Linux, bound to this process's life.
func (p *Process) start() error {
	cmd := exec.Command(p.cfg.Command[0], p.cfg.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.cfg.Dir, append(os.Environ(), p.cfg.Env...), attributes()
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold standard error open
	cmd.Stderr = p.tail
	if p.cfg.MemoryLimit > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMEMLIMIT=%d", p.cfg.MemoryLimit/10*9))
	}
	var log *os.File
	if p.cfg.Log != "" {
		var err error
		if log, err = os.OpenFile(p.cfg.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666); err != nil {
			return err
		}
		p.tail.log = log
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe() // not StdoutPipe: Wait would close it before it is read to its end
	if err != nil {
		return err
	}
	cmd.Stdout = writer
	p.cmd, p.stdin, p.enc = cmd, stdin, protocol.NewEncoder(stdin)

	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the kernel ties the child's life to this thread
		err := cmd.Start()
		writer.Close()
		started <- err
		if err != nil {
			return
		}
		read := make(chan struct{})
		go func() { defer close(read); p.read(reader) }()
		err = cmd.Wait()
		p.mu.Lock()
		p.exited = true
		p.mu.Unlock()
		<-read
		p.ended(err)
		if log != nil {
			log.Close()
		}
	}()
	if err := <-started; err != nil {
		reader.Close()
		return err
	}
	if p.cfg.MemoryLimit > 0 {
		if err := limitMemory(cmd.Process.Pid, p.cfg.MemoryLimit); err != nil {
			p.kill(Closed, err)
			<-p.done
			return err
		}
	}
	return nil
}

func (p *Process) greet(ctx context.Context, l *listener) error {
	// A child that has died already shows in done, with a better reason than a broken pipe.
	write := p.enc.Encode(protocol.Hello{Format: protocol.Format, AliveSeconds: min(5, p.cfg.Silence.Seconds()/3)})
	timer := time.NewTimer(p.cfg.Startup)
	defer timer.Stop()
	for {
		select {
		case m := <-l.messages:
			switch m := m.(type) {
			case protocol.Ready:
				if m.Format != protocol.Format {
					return fmt.Errorf("it speaks %q, not %s", m.Format, protocol.Format)
				}
				p.ready = m
				return nil
			case protocol.Alive:
			case protocol.Error:
				return m
			default:
				return fmt.Errorf("%T before it was ready", m)
			}
		case <-p.done:
			return errors.Join(p.Lost(), write)
		case <-timer.C:
			return fmt.Errorf("not ready after %s", p.cfg.Startup)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read hands the child's messages to whoever listens, until its output ends.
func (p *Process) read(r io.ReadCloser) {
	defer r.Close()
	dec := protocol.NewDecoder(r)
	for {
		p.setListening(time.Now())
		m, err := dec.Next()
		p.setListening(time.Time{})
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.mu.Lock()
			cut := p.exited || errors.Is(err, io.ErrUnexpectedEOF) // it died in the middle of a line
			p.mu.Unlock()
			if !cut {
				p.kill(Protocol, err)
			}
			io.Copy(io.Discard, r)
			return
		}
		p.mu.Lock()
		if a, ok := m.(protocol.Alive); ok {
			p.alive = a
		}
		l := p.listener
		p.mu.Unlock()
		if l != nil {
			select {
			case l.messages <- m:
			case <-l.gone:
			}
		}
	}
}

// ended classifies the end, once the process is gone and its output read.
func (p *Process) ended(wait error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.tail.last()
	cause, exit := classify(p.cmd.ProcessState, last, kernelKills() != p.kills, p.cfg.MemoryLimit)
	if p.lost == nil {
		p.lost = &LostError{Cause: cause, Err: errEnded}
		if wait == nil {
			p.lost.Err = errors.New("it ended without being asked")
		}
	}
	p.lost.Exit, p.lost.Last = exit, last
	close(p.done)
}

// kill ends the child and its group; the first reason given is the one kept.
func (p *Process) kill(cause Cause, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil {
		p.lost = &LostError{Cause: cause, Err: err}
	}
	if !p.exited {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (p *Process) listen() *listener {
	l := &listener{messages: make(chan protocol.Message, 16), gone: make(chan struct{})}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	return l
}

func (p *Process) unlisten(l *listener) {
	p.mu.Lock()
	p.listener = nil
	p.mu.Unlock()
	close(l.gone)
}

func (p *Process) setListening(t time.Time) {
	p.mu.Lock()
	p.listening = t
	p.mu.Unlock()
}
