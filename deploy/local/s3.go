package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// s3Options is what `graft-stack s3` is told. The credentials come by environment, which only their owner can read.
type s3Options struct {
	supervised
	ip, root, bucket, region string
	port                     int
	access, secret           string
}

// healthPath answers without credentials.
const healthPath = "/healthz"

func parseS3(args []string) (*s3Options, error) {
	o := &s3Options{access: os.Getenv("GRAFT_S3_ACCESS_KEY"), secret: os.Getenv("GRAFT_S3_SECRET_KEY")}
	f := flag.NewFlagSet("s3", flag.ContinueOnError)
	o.supervised.flags(f)
	f.StringVar(&o.ip, "ip", "127.0.0.1", "loopback address to bind")
	f.IntVar(&o.port, "port", 7070, "port")
	f.StringVar(&o.root, "root", "", "directory whose sub-directories are the buckets; objects are files with extended attributes")
	f.StringVar(&o.bucket, "bucket", "", "bucket to create when it is missing")
	f.StringVar(&o.region, "region", "us-east-1", "region that requests are signed for")
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return o, o.complete()
}

func (o *s3Options) complete() (err error) {
	if o.ip, err = loopback(o.ip); err != nil {
		return err
	}
	switch {
	case o.root == "":
		return fmt.Errorf("%w: --root is missing", errUsage)
	case o.port < 1 || o.port > 65535:
		return fmt.Errorf("%w: --port: must be between 1 and 65535 (got %d)", errUsage, o.port)
	case o.access == "" || o.secret == "":
		return fmt.Errorf("%w: GRAFT_S3_ACCESS_KEY and GRAFT_S3_SECRET_KEY must be set", errUsage)
	}
	return o.check()
}

// s3Command serves S3 until the context ends. It changes the process's working directory to the root.
func s3Command(ctx context.Context, args []string) error {
	o, err := parseS3(args)
	if o == nil {
		return err
	}
	if err != nil {
		return o.report(err)
	}
	ctx, cancel := o.follow(ctx)
	defer cancel()
	store, err := openStore(ctx, o)
	if err != nil {
		return o.report(err)
	}
	done := make(chan error, 1)
	go func() { done <- embedgw.RunVersityGW(ctx, store, gatewayConfig(o)) }()
	if err := o.report(awaitS3(ctx, o, done)); err != nil && ctx.Err() == nil {
		return err
	}
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return fmt.Errorf("the S3 server stopped: %w", err)
		}
	case <-ctx.Done():
		// The gateway waits up to 10 s for idle connections; whole objects appear by rename or not at all.
		select {
		case <-done:
		case <-time.After(2 * time.Second):
		}
	}
	return nil
}

func openStore(ctx context.Context, o *s3Options) (*posix.Posix, error) {
	if err := os.MkdirAll(o.root, 0o700); err != nil {
		return nil, err
	}
	if err := checkAttributes(o.root); err != nil {
		return nil, err
	}
	if err := checkFree("S3", o.ip, o.port); err != nil {
		return nil, err
	}
	store, err := posix.New(o.root, meta.XattrMeta{}, posix.PosixOpts{CopyObjectThreshold: 5 << 30})
	if err != nil {
		return nil, fmt.Errorf("S3 root %s: %w", o.root, err)
	}
	if o.bucket == "" {
		return store, nil
	}
	return store, ensureBucket(ctx, store, o)
}

// ensureBucket relies on the working directory being the root.
func ensureBucket(ctx context.Context, store *posix.Posix, o *s3Options) error {
	acl, err := json.Marshal(auth.ACL{Owner: o.access})
	if err != nil {
		return err
	}
	if _, err := store.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &o.bucket}); err == nil {
		return nil
	}
	// A kill between making the directory and its access list leaves a directory that is not a bucket; it is empty.
	_ = os.Remove(o.bucket)
	err = store.CreateBucket(context.WithValue(ctx, "bucket-owner", auth.Account{Access: o.access}), &s3.CreateBucketInput{ //nolint:staticcheck // the gateway's key
		Bucket:                    &o.bucket,
		ObjectOwnership:           types.ObjectOwnershipBucketOwnerEnforced,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{},
	}, acl)
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", o.bucket, err)
	}
	return nil
}

func gatewayConfig(o *s3Options) *embedgw.Config {
	return &embedgw.Config{
		RootUserAccess:    o.access,
		RootUserSecret:    o.secret,
		Region:            o.region,
		Ports:             []string{net.JoinHostPort(o.ip, strconv.Itoa(o.port))},
		MaxConnections:    4096,
		MaxRequests:       1024,
		MultipartMaxParts: 10000,
		KeepAlive:         true,
		HealthPath:        healthPath,
		Quiet:             true,
	}
}

// awaitS3 returns nil when the gateway answers, its error when it ended instead.
func awaitS3(ctx context.Context, o *s3Options, done <-chan error) error {
	url := "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.port)) + healthPath
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return poll(ctx, func() error {
		select {
		case err := <-done:
			cancel()
			return errors.Join(errors.New("the S3 server ended while starting"), err)
		default:
			return answers(ctx, url)
		}
	})
}
