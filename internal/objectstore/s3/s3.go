// Package s3 is an object store in an S3 bucket, AWS's or any server that speaks its API. It is the only package that imports the AWS SDK.
//
// Bodies are checked both ways: CRC32C travels with every write (per part and over the whole object when it is multipart) and is
// compared with what the server reports when a whole object is read. A body that breaks off is continued by a range read with
// If-Match. Calls are repeated with jittered back-off up to Config.Attempts; then the error names endpoint, bucket and key.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Config says where the bucket is. Credentials come from the AWS default chain (environment, files, instance role).
type Config struct {
	Endpoint  string // URL of an S3-compatible server; empty: AWS
	Region    string // empty: the environment's, else us-east-1
	Bucket    string
	Prefix    string // keys are below it
	PathStyle bool   // bucket in the path instead of the host name

	PartSize   int64         // bytes; larger objects are multipart; 0: 16 MiB (at least 5 MiB on AWS)
	Attempts   int           // tries per call; 0: 8, about 15 s against a server that is gone
	MaxBackoff time.Duration // longest pause between tries; 0: 4 s
	Stall      time.Duration // a body that yields nothing for so long is broken off and continued; 0: 30 s
}

const (
	defaultPartSize   = 16 << 20
	defaultAttempts   = 8
	defaultMaxBackoff = 4 * time.Second
	defaultStall      = 30 * time.Second
	defaultRegion     = "us-east-1"
)

// FromEnv is the configuration the AWS environment gives: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (path style then), AWS_REGION or AWS_DEFAULT_REGION.
func FromEnv() Config {
	var c Config
	c.Endpoint = firstOf(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
	c.Region = firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	c.PathStyle = c.Endpoint != ""
	return c
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

func (c *Config) setDefaults() {
	if c.PartSize == 0 {
		c.PartSize = defaultPartSize
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = defaultMaxBackoff
	}
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
}

// Store is a bucket, or the part of one under a prefix.
type Store struct {
	cfg    Config
	api    *s3.Client
	prefix string // empty or ending in a slash
	where  string // "bucket b at http://…", for errors
}

var _ objectstore.Store = (*Store)(nil)

// New prepares a client. It reads configuration files and the environment but makes no call: whether the bucket exists shows at the first one.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Bucket == "" {
		return nil, &objectstore.Fault{Op: "open", URI: "s3://", Permanent: true, User: true, Err: errors.New("no bucket")}
	}
	cfg.setDefaults()
	aw, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(httpClient()),
		awsconfig.WithRetryer(cfg.retryer),
		awsconfig.WithLogger(logging.Nop{}), // it would write on the terminal; what matters of it comes back as errors
		awsconfig.WithRegion(cfg.Region))
	if err != nil {
		return nil, fmt.Errorf("open s3://%s: %w", cfg.Bucket, err)
	}
	aw.Credentials = aws.NewCredentialsCache(named{aw.Credentials})
	api := s3.NewFromConfig(aw, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		if o.Region == "" {
			o.Region = defaultRegion
		}
		o.UsePathStyle = cfg.PathStyle
		// This package sends and checks its own CRC32C; the SDK's would be a second pass, and logs a warning per range read.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	s := &Store{cfg: cfg, api: api, where: "bucket " + cfg.Bucket}
	if p := strings.Trim(cfg.Prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	if cfg.Endpoint != "" {
		s.where += " at " + cfg.Endpoint
	}
	return s, nil
}

func (c *Config) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = c.Attempts
		o.MaxBackoff = c.MaxBackoff
		o.RateLimiter = ratelimit.None // Attempts bounds the tries; a shared token bucket would fail unrelated calls early
	})
}

// httpClient notices a server that accepts and never answers; bodies are watched by their reader.
func httpClient() aws.HTTPClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = 5 * time.Second }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = 60 * time.Second
			t.MaxIdleConnsPerHost = 32
		})
}

// URI is s3://BUCKET/PREFIX/KEY.
func (s *Store) URI(key string) string { return "s3://" + s.cfg.Bucket + "/" + s.prefix + key }

// full is a key as the bucket knows it.
func (s *Store) full(key string) (*string, error) {
	if err := objectstore.CheckKey(key); err != nil {
		return nil, err
	}
	return aws.String(s.prefix + key), nil
}
