package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/dynamicconfig"
)

// The arguments that testsuite.StartDevServer of the Go SDK passes.
var devServerArgs = strings.Fields("--ip 127.0.0.1 --port 40001 --namespace default" +
	" --dynamic-config-value frontend.enableServerVersionCheck=true --log-level warn --log-format pretty --headless" +
	" --db-filename x.db --ui-port 40002 --search-attribute GraftStep=Int --search-attribute GraftBase=Keyword")

func TestDevServerArguments(t *testing.T) {
	o, err := parseTemporal(devServerArgs)
	if err != nil {
		t.Fatal(err)
	}
	if o.port != 40001 || o.uiPort != 40002 || !o.headless || o.db != "x.db" || o.retention != 720*time.Hour {
		t.Errorf("options: %+v", o)
	}
	if o.attributes["GraftStep"] != enumspb.INDEXED_VALUE_TYPE_INT || o.attributes["GraftBase"] != enumspb.INDEXED_VALUE_TYPE_KEYWORD {
		t.Errorf("search attributes: %v", o.attributes)
	}
	v := dynamicValues(o.dynamic)
	if got := v.GetValue(dynamicconfig.EnableServerVersionCheck.Key()); got[0].Value != false {
		t.Errorf("the version check calls out and must stay off, got %v", got)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Setenv("GRAFT_S3_ACCESS_KEY", "")
	for _, c := range []struct{ name, args, want string }{
		{"bound outside", "temporal --ip 0.0.0.0", "only loopback"},
		{"bound outside, S3", "s3 --root x --ip ::", "only loopback"},
		{"not an address", "temporal --ip example.org", "only loopback"},
		{"port too high", "temporal --port 70000", "--port: must be between 1 and 65535 (got 70000)"},
		{"attribute without type", "temporal --search-attribute A", `"A" is not NAME=TYPE`},
		{"attribute of unknown type", "temporal --search-attribute A=Float", `A: unknown type "Float"`},
		{"dynamic value without key", "temporal --dynamic-config-value =1", "is not KEY=VALUE"},
		{"stray argument", "temporal now", `unexpected argument "now"`},
		{"another protocol", "temporal --protocol 99", "graft speaks protocol 99, this graft-stack speaks 1"},
		{"no root", "s3", "--root is missing"},
		{"no credentials", "s3 --root x", "GRAFT_S3_ACCESS_KEY"},
		{"unknown command", "up", `unknown command "up"`},
		{"nothing", "", "graft-stack temporal|s3|version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t.Context(), strings.Fields(c.args))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want one with %q", err, c.want)
			}
			if usage := errors.Is(err, errUsage); usage == strings.Contains(c.args, "protocol") {
				t.Errorf("a usage error: %v", usage)
			}
		})
	}
}

func TestDynamicValues(t *testing.T) {
	d := dynamicFlag{}
	for _, s := range []string{"a.int=7", "b.bool=true", "c.text=plain", `d.json={"x":1}`} {
		if err := d.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]any{"a.int": 7, "b.bool": true, "c.text": "plain"} {
		if got := d[dynamicconfig.MakeKey(key)]; got != want {
			t.Errorf("%s: got %T %v, want %T %v", key, got, got, want, want)
		}
	}
	if _, ok := d[dynamicconfig.MakeKey("d.json")].(map[string]any); !ok {
		t.Error("d.json: not decoded")
	}
}

func TestDatabasePathIsEscaped(t *testing.T) {
	if got := uriPath("/a b/50%?#.db"); got != "/a b/50%25%3f%23.db" {
		t.Errorf("got %s", got)
	}
}
