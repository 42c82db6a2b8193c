package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

// healthTimeout bounds one look at a server; a loopback one answers in milliseconds.
const healthTimeout = 10 * time.Second

// Find returns the addresses of the stack that runs in dir ("": DefaultDir), after it has answered. The error is
// ErrNotRunning when there is none, ErrRunning when one is there that does not answer.
func Find(ctx context.Context, dir string) (Addresses, error) {
	if dir == "" {
		dir = DefaultDir()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Addresses{}, err
	}
	held, err := locked(dir)
	if err != nil {
		return Addresses{}, fmt.Errorf("state directory: %w", err)
	}
	if !held {
		return Addresses{}, mend("%w: %s", ErrNotRunning, dir)
	}
	st, err := readState(dir)
	if err != nil || !alive(st.PID) {
		return Addresses{}, mend("%w: %s (one is starting or stopping there)", ErrNotRunning, dir)
	}
	a, err := st.addresses(dir)
	if err != nil {
		return Addresses{}, err
	}
	if err := a.Check(ctx); err != nil {
		return Addresses{}, fmt.Errorf("%w (process %d) but does not answer: %w", ErrRunning, st.PID, err)
	}
	return a, nil
}

// Check reports nil when Temporal serves the namespace and S3 answers.
func (a Addresses) Check(ctx context.Context) error {
	return errors.Join(
		checkTemporal(ctx, client.DialContext, a.Temporal, a.Namespace, nil),
		checkS3(ctx, a.S3.Endpoint))
}

// checkExternals looks at the servers that the user named.
func checkExternals(ctx context.Context, cfg Config) error {
	var errs []error
	if cfg.ExternalTemporal != "" {
		ensure := func(ctx context.Context, c client.Client) error { return ensureAttributes(ctx, c, cfg.Namespace) }
		errs = append(errs, checkTemporal(ctx, cfg.Dial, cfg.ExternalTemporal, cfg.Namespace, ensure))
	}
	if cfg.ExternalS3 != "" && cfg.ExternalS3 != "aws" {
		errs = append(errs, checkS3(ctx, cfg.ExternalS3))
	}
	return errors.Join(errs...)
}

type dialFunc = func(context.Context, client.Options) (client.Client, error)

func checkTemporal(ctx context.Context, dial dialFunc, address, namespace string, then func(context.Context, client.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	c, err := dial(ctx, client.Options{
		HostPort: address, Namespace: namespace, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return Unreachable(ctx, address, err)
	}
	defer c.Close()
	_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if missing := new(serviceerror.NamespaceNotFound); errors.As(err, &missing) {
		return mend("Temporal at %s has no namespace %q", address, namespace)
	}
	if err != nil {
		return mend("Temporal at %s, namespace %s: %w", address, namespace, err)
	}
	if then != nil {
		return then(ctx, c)
	}
	return nil
}

// checkS3 reports nil when something speaks HTTP at endpoint; whether it is an S3 that keeps its word is for
// objectstore.Probe to find.
func checkS3(ctx context.Context, endpoint string) error {
	if endpoint == "" {
		return nil // the AWS SDK's own choice
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return mend("S3 endpoint %s: %w", endpoint, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return mend("S3 at %s does not answer: %w", endpoint, err)
	}
	return resp.Body.Close()
}
