package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// prepareDatabase makes the schema and the namespaces where they are missing, before the server looks at them.
func prepareDatabase(o *temporalOptions, db *config.SQL) error {
	if o.db != "" {
		if err := createSchema(o.db); err != nil {
			return err
		}
	}
	var namespaces []*sqlite.NamespaceConfig
	for _, name := range o.namespaces {
		n, err := sqlite.NewNamespaceConfig(clusterName, name, false, o.attributes)
		if err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		n.Detail.Config.Retention = durationpb.New(o.retention) // the library's default is one day
		namespaces = append(namespaces, n)
	}
	if err := sqlite.CreateNamespaces(db, namespaces...); err != nil {
		return fmt.Errorf("database %s: %w", o.db, err)
	}
	return nil
}

// createSchema writes the tables beside file and renames, so that a kill in between leaves no half schema.
func createSchema(file string) error {
	there, err := exists(file)
	if there || err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	fresh := file + ".new"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		_ = os.Remove(fresh + suffix) // left by a kill; SQLite would read an old journal into the new file
	}
	c := sqlConfig(fresh)
	c.ConnectAttributes["journal_mode"] = "delete" // a rename moves one file: no -wal beside it
	if err := sqlite.SetupSchema(c); err != nil {
		return fmt.Errorf("database %s: %w", file, err)
	}
	return os.Rename(fresh, file)
}

// awaitTemporal returns when the frontend serves, knows every namespace and has every search attribute.
func awaitTemporal(ctx context.Context, o *temporalOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for _, ns := range o.namespaces {
		c, err := client.NewLazyClient(client.Options{
			HostPort:  net.JoinHostPort(o.ip, strconv.Itoa(o.port)),
			Namespace: ns,
			Logger:    sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		})
		if err != nil {
			return err
		}
		defer c.Close()
		if err := poll(ctx, func() error { return serves(ctx, c, ns) }); err != nil {
			return fmt.Errorf("wait for Temporal's namespace %s: %w", ns, err)
		}
		if err := ensureAttributes(ctx, c, ns, o.attributes); err != nil {
			return fmt.Errorf("namespace %s: %w", ns, err)
		}
	}
	return nil
}

func serves(ctx context.Context, c client.Client, ns string) error {
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return err
	}
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: ns})
	return err
}

// ensureAttributes adds the search attributes that ns lacks: those given when a namespace is created apply only then.
func ensureAttributes(ctx context.Context, c client.Client, ns string, want attributeFlag) error {
	missing, err := missingAttributes(ctx, c, ns, want)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: ns, SearchAttributes: missing})
	if err != nil {
		return fmt.Errorf("add search attributes: %w", err)
	}
	return poll(ctx, func() error {
		missing, err := missingAttributes(ctx, c, ns, want)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("search attributes added but not there: %v", missing)
		}
		return err
	})
}

func missingAttributes(ctx context.Context, c client.Client, ns string, want attributeFlag) (attributeFlag, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: ns})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	missing := attributeFlag{}
	for name, kind := range want {
		switch got, ok := have.CustomAttributes[name]; {
		case !ok:
			missing[name] = kind
		case got != kind:
			return nil, fmt.Errorf("search attribute %s is %s in this database, %s is asked for", name, got, kind)
		}
	}
	return missing, nil
}

// poll tries until f succeeds or the context ends; the last error tells why.
func poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
