package stack

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"go.temporal.io/sdk/client"
)

// Config says what to start. The zero value starts everything on free ports, in DefaultDir.
type Config struct {
	Dir          string // state directory; "": DefaultDir
	TemporalPort int    // 0: that of the last start in Dir when it is still free, else any free one
	UIPort       int    // as TemporalPort
	S3Port       int    // as TemporalPort
	Binary       string // graft-stack; "": $GRAFT_STACK, else beside this executable, else in PATH
	Namespace    string // Temporal namespace; "": "default"
	Bucket       string // "": "graft"

	ExternalTemporal string // HOST:PORT of a Temporal to use; no Temporal is started
	ExternalS3       string // URL of an S3 endpoint to use, or "aws" for the AWS SDK's own choice; no S3 is started

	// Dial connects to Temporal; nil: plain gRPC. Whoever names a Temporal with TLS or an API key gives this.
	Dial func(context.Context, client.Options) (client.Client, error)

	MinFree int64        // bytes that must be free in Dir's file system to start; 0: 256 MiB
	Log     *slog.Logger // a child that died, a disk that fills up; nil: nowhere
}

// Addresses says where the servers listen and how to sign in.
type Addresses struct {
	Temporal  string // HOST:PORT
	Namespace string
	UI        string // URL of the Temporal Web UI; "" when the Temporal is external
	S3        S3
}

// S3 is an endpoint and its credentials. Empty credentials mean those of the user's environment.
type S3 struct {
	Endpoint  string // URL; "" when the AWS SDK chooses
	Region    string // "" when the AWS SDK chooses
	Bucket    string
	AccessKey string
	SecretKey string
}

// Env returns the variables ("NAME=value") by which any AWS SDK uses this S3.
func (a Addresses) Env() []string {
	var env []string
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	add("AWS_ENDPOINT_URL_S3", a.S3.Endpoint)
	add("AWS_REGION", a.S3.Region)
	add("AWS_ACCESS_KEY_ID", a.S3.AccessKey)
	add("AWS_SECRET_ACCESS_KEY", a.S3.SecretKey)
	if a.S3.AccessKey != "" {
		add("AWS_EC2_METADATA_DISABLED", "true")
	}
	return env
}

// DefaultDir is $XDG_STATE_HOME/graft, or .graft in the working directory.
func DefaultDir() string {
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "graft")
	}
	return ".graft"
}

// complete fills the defaults in and checks what can be checked without touching anything.
func (c *Config) complete() error {
	setDefault(&c.Dir, DefaultDir())
	setDefault(&c.Namespace, "default")
	setDefault(&c.Bucket, "graft")
	if c.MinFree == 0 {
		c.MinFree = 256 << 20
	}
	if c.Dial == nil {
		c.Dial = client.DialContext
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("state directory %s: %w", c.Dir, err)
	}
	c.Dir = dir
	if err := c.checkExternal(); err != nil {
		return err
	}
	return c.checkPorts()
}

func (c *Config) checkExternal() error {
	if c.ExternalTemporal != "" {
		if _, _, err := net.SplitHostPort(c.ExternalTemporal); err != nil {
			return mend("Temporal address %q: want HOST:PORT: %w", c.ExternalTemporal, err)
		}
	}
	if c.ExternalS3 == "" || c.ExternalS3 == "aws" {
		return nil
	}
	u, err := url.Parse(c.ExternalS3)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return mend("S3 endpoint %q: want http://HOST:PORT or https://HOST, or aws", c.ExternalS3)
	}
	return nil
}

func (c *Config) checkPorts() error {
	taken := map[int]string{}
	for _, p := range c.ports() {
		if *p.port < 0 || *p.port > 65535 {
			return mend("port for %s: must be between 1 and 65535 (got %d)", p.what, *p.port)
		}
		if other, ok := taken[*p.port]; ok && *p.port != 0 {
			return mend("port %d: given for %s and for %s", *p.port, other, p.what)
		}
		taken[*p.port] = p.what
	}
	return nil
}

type portField struct {
	what string
	port *int
}

// ports are those of the servers to start here.
func (c *Config) ports() []portField {
	var f []portField
	if c.ExternalTemporal == "" {
		f = append(f, portField{"Temporal", &c.TemporalPort}, portField{"the Temporal Web UI", &c.UIPort})
	}
	if c.ExternalS3 == "" {
		f = append(f, portField{"S3", &c.S3Port})
	}
	return f
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
