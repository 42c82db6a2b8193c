package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/temporal"
)

// temporalCommand runs Temporal and its Web UI until the context ends.
func temporalCommand(ctx context.Context, args []string) error {
	o, err := parseTemporal(args)
	if o == nil {
		return err
	}
	if err != nil {
		return o.report(err)
	}
	ctx, cancel := o.follow(ctx)
	defer cancel()

	stop, err := startTemporal(ctx, o)
	if err := o.report(err); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while starting
		}
		return err
	}
	<-ctx.Done()
	return stop()
}

// startTemporal returns when workflows can be started, with what stops it all.
func startTemporal(ctx context.Context, o *temporalOptions) (stop func() error, err error) {
	if err := checkFree("Temporal", o.ip, o.port); err != nil {
		return nil, err
	}
	db := sqlConfig(o.db)
	if err := prepareDatabase(o, db); err != nil {
		return nil, err
	}
	server, err := newServer(o, db)
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start Temporal: %w", err)
	}
	var web *webUI
	if !o.headless {
		if web, err = startUI(ctx, o); err != nil {
			return nil, errors.Join(err, server.Stop())
		}
	}
	stop = func() error {
		web.stop()
		return server.Stop()
	}
	if err := awaitTemporal(ctx, o); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

func newServer(o *temporalOptions, db *config.SQL) (temporal.Server, error) {
	ports, err := freePorts(o.ip, 3)
	if err != nil {
		return nil, err
	}
	c := serverConfig(o, db, ports)
	server, err := temporal.NewServer(
		temporal.WithConfig(c),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts(c)),
		temporal.WithLogger(logger(o)),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithDynamicConfigClient(dynamicValues(o.dynamic)),
	)
	if err != nil {
		return nil, fmt.Errorf("set up Temporal: %w", err)
	}
	return server, nil
}

func logger(o *temporalOptions) log.Logger {
	if o.logLevel == "never" {
		return log.NewNoopLogger()
	}
	format := o.logFormat
	if format == "pretty" { // the Temporal CLI's word
		format = "console"
	}
	return log.NewZapLogger(log.BuildZapLogger(log.Config{Level: o.logLevel, Format: format}))
}

// exists reports whether file is there; any other doubt is an error.
func exists(file string) (bool, error) {
	_, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
