package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/recipes"
)

// targetFlags say which Temporal and which store a command works with. What is not said is the local stack's.
type targetFlags struct {
	temporal, namespace, store string
	project, environment       string
}

func (a *app) targetFlags(c *cobra.Command) *targetFlags {
	t := &targetFlags{}
	f := c.PersistentFlags()
	f.StringVar(&t.temporal, "temporal", os.Getenv("TEMPORAL_ADDRESS"), "HOST:PORT of a Temporal to use instead of the local stack's")
	f.StringVar(&t.namespace, "namespace", os.Getenv("TEMPORAL_NAMESPACE"), "its namespace (default: default)")
	f.StringVar(&t.store, "store", os.Getenv("GRAFT_STORE"), "s3://bucket[/prefix] for data, runs and variants, instead of the local stack's; endpoint and keys from the AWS environment")
	t.configFlag(c)
	f.StringVar(&t.environment, "env", "", "environment of graft.yaml that names Temporal and store")
	return t
}

// configFlag is all that a command takes which starts nothing and opens no store.
func (t *targetFlags) configFlag(c *cobra.Command) {
	c.PersistentFlags().StringVar(&t.project, "config", "", "graft.yaml to use (default: the nearest one above the recipe, or the working directory)")
}

// settle fills in what the environment of graft.yaml says and the flags do not.
func (t *targetFlags) settle() error {
	if t.environment == "" {
		return nil
	}
	project, err := t.loadProject(".")
	if err != nil {
		return err
	}
	env, err := project.Environment(t.environment)
	if err != nil {
		return err
	}
	fill(&t.temporal, env.Temporal.Address)
	fill(&t.namespace, env.Temporal.Namespace)
	fill(&t.store, env.Bucket)
	return nil
}

// loadProject is graft.yaml: the one named, or the nearest one at or above dir, or an empty one.
func (t *targetFlags) loadProject(dir string) (*recipes.Project, error) {
	path := t.project
	if path == "" {
		var err error
		if path, err = recipes.FindProject(dir); err != nil {
			return nil, err
		}
	}
	if path == "" {
		return &recipes.Project{}, nil
	}
	return recipes.LoadProject(path)
}

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// target is an open Temporal and store.
type target struct {
	client    client.Client
	store     objectstore.Store
	addresses stack.Addresses
}

func (t *target) close() {
	if t.client != nil {
		t.client.Close()
	}
}

// connect opens what the flags name and what runs in the state directory; it starts nothing.
func (a *app) connect(ctx context.Context, t *targetFlags) (*target, error) {
	addresses, err := a.addresses(ctx, t)
	if err != nil {
		return nil, err
	}
	return a.open(ctx, t, addresses)
}

func (a *app) addresses(ctx context.Context, t *targetFlags) (stack.Addresses, error) {
	if err := t.settle(); err != nil {
		return stack.Addresses{}, err
	}
	if t.temporal != "" && t.store != "" {
		return stack.Addresses{Temporal: t.temporal, Namespace: or(t.namespace, "default")}, nil
	}
	found, err := stack.Find(ctx, a.dir)
	if err != nil {
		return found, notRunning(a.dir, err)
	}
	if t.temporal != "" {
		found.Temporal, found.Namespace, found.UI = t.temporal, or(t.namespace, "default"), ""
	}
	return found, nil
}

func notRunning(dir string, err error) error {
	if errors.Is(err, stack.ErrNotRunning) {
		return usagef("no local stack runs in %s: start one with `graft up`, or name a Temporal (--temporal) and a store (--store)", dir)
	}
	return err
}

// open connects to addresses. The S3 of the local stack becomes this process' and its children's S3.
func (a *app) open(ctx context.Context, t *targetFlags, at stack.Addresses) (*target, error) {
	c, err := client.DialContext(ctx, client.Options{HostPort: at.Temporal, Namespace: at.Namespace, Logger: quietLogger()})
	if err != nil {
		return nil, stack.Unreachable(ctx, at.Temporal, err)
	}
	store, err := a.storeAt(ctx, t, at)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &target{client: c, store: store, addresses: at}, nil
}

// openStore opens the store alone.
func (a *app) openStore(ctx context.Context, t *targetFlags) (objectstore.Store, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	if t.store != "" {
		return a.storeAt(ctx, t, stack.Addresses{})
	}
	found, err := stack.Find(ctx, a.dir)
	if err != nil {
		return nil, notRunning(a.dir, err)
	}
	return a.storeAt(ctx, t, found)
}

func (a *app) storeAt(ctx context.Context, t *targetFlags, at stack.Addresses) (objectstore.Store, error) {
	uri := t.store
	if uri == "" {
		uri = "s3://" + at.S3.Bucket
		if err := setEnv(at.Env()); err != nil {
			return nil, err
		}
	}
	store, prefix, err := open.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	if prefix != "" {
		store = objectstore.Sub(store, prefix)
	}
	return store, nil
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
