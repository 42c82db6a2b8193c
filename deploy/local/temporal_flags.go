package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/dynamicconfig"
)

// temporalOptions is what `graft-stack temporal` and `server start-dev` are told.
type temporalOptions struct {
	supervised
	ip         string
	port       int
	uiPort     int
	headless   bool // no Web UI
	db         string
	namespaces listFlag
	retention  time.Duration
	attributes attributeFlag
	dynamic    dynamicFlag
	logLevel   string
	logFormat  string
}

func parseTemporal(args []string) (*temporalOptions, error) {
	o := &temporalOptions{attributes: attributeFlag{}, dynamic: dynamicFlag{}}
	f := flag.NewFlagSet("temporal", flag.ContinueOnError)
	o.supervised.flags(f)
	f.StringVar(&o.ip, "ip", "127.0.0.1", "loopback address to bind")
	f.IntVar(&o.port, "port", 7233, "port of the Temporal frontend (gRPC)")
	f.IntVar(&o.uiPort, "ui-port", 0, "port of the Web UI (default: port + 1000)")
	f.BoolVar(&o.headless, "headless", false, "no Web UI")
	f.StringVar(&o.db, "db", "", "SQLite file; without it everything is kept in memory and lost at exit")
	f.StringVar(&o.db, "db-filename", "", "the same as --db")
	f.Var(&o.namespaces, "namespace", "namespace to create (repeatable; default: default)")
	f.DurationVar(&o.retention, "retention", 720*time.Hour, "how long closed workflows are kept in namespaces created here")
	f.Var(o.attributes, "search-attribute", "NAME=TYPE, TYPE one of Text Keyword Int Double Bool Datetime KeywordList (repeatable)")
	f.Var(o.dynamic, "dynamic-config-value", "KEY=JSON of Temporal's dynamic configuration (repeatable)")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn, error or never")
	f.StringVar(&o.logFormat, "log-format", "json", "json or console")
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(0))
	}
	return o, o.complete()
}

func (o *temporalOptions) complete() (err error) {
	if o.ip, err = loopback(o.ip); err != nil {
		return err
	}
	if o.uiPort == 0 {
		o.uiPort = o.port + 1000
	}
	for name, p := range map[string]int{"--port": o.port, "--ui-port": o.uiPort} {
		if p < 1 || p > 65535 {
			return fmt.Errorf("%w: %s: must be between 1 and 65535 (got %d)", errUsage, name, p)
		}
	}
	if len(o.namespaces) == 0 {
		o.namespaces = listFlag{"default"}
	}
	return o.check()
}

func (s *supervised) flags(f *flag.FlagSet) {
	f.IntVar(&s.readyFD, "ready-fd", 0, "file descriptor that gets one JSON line when the start is done")
	f.BoolVar(&s.lifeline, "lifeline", false, "stop when standard input ends")
	f.IntVar(&s.protocol, "protocol", 0, "refuse to start when this binary speaks another protocol")
}

type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// attributeFlag collects search attributes: name to type.
type attributeFlag map[string]enumspb.IndexedValueType

func (a attributeFlag) String() string { return "" }

func (a attributeFlag) Set(s string) error {
	name, kind, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=TYPE", s)
	}
	t, err := enumspb.IndexedValueTypeFromString(kind)
	if err != nil || t == enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED {
		return fmt.Errorf("%s: unknown type %q", name, kind)
	}
	a[name] = t
	return nil
}

// dynamicFlag collects dynamic configuration: key to a value of JSON, or a bare string.
type dynamicFlag map[dynamicconfig.Key]any

func (d dynamicFlag) String() string { return "" }

func (d dynamicFlag) Set(s string) error {
	key, text, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return fmt.Errorf("%q is not KEY=VALUE", s)
	}
	k := dynamicconfig.MakeKey(key)
	if n, err := strconv.Atoi(text); err == nil { // JSON would make a float64 of it
		d[k] = n
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		v = text
	}
	d[k] = v
	return nil
}
