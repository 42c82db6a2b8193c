package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
)

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	want := "port " + strconv.Itoa(port) + " for Temporal is taken"
	_, err = startTemporal(t.Context(), &temporalOptions{ip: "127.0.0.1", port: port})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want one with %q", err, want)
	}
}

func TestAttributes(t *testing.T) {
	dir := t.TempDir()
	if err := checkAttributes(dir); err != nil {
		t.Errorf("the test's own directory: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the probe left %s", left[0].Name())
	}
	// /proc keeps no user attributes on any kernel.
	if err := setAttribute("/proc", "/proc/self/comm"); err == nil || !strings.Contains(err.Error(), "no extended attributes") {
		t.Errorf("/proc: got %v", err)
	}
}

func TestHalfSchemaIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.db")
	for _, left := range []string{file + ".new", file + ".new-journal"} {
		if err := os.WriteFile(left, []byte("cut short by a kill"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := createSchema(file); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(file + "*")
	if len(left) != 1 {
		t.Errorf("beside the database: %v", left)
	}
}

// A second start on the same file has the attribute that only the second one names; a change of type is refused.
func TestAttributesAddedAtEveryStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a?b#c%41.db")
	for _, c := range []struct{ attribute, want string }{
		{"GraftBase=Keyword", ""},
		{"GraftStep=Int", ""},
		{"GraftStep=Keyword", "search attribute GraftStep is Int in this database, Keyword is asked for"},
	} {
		err := startAndList(t, file, c.attribute)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Fatalf("with %s: got %v, want %q", c.attribute, err, c.want)
		}
	}
	if ok, err := exists(file); !ok || err != nil {
		t.Errorf("%s: not where it was asked for (%v)", file, err)
	}
}

// startAndList starts Temporal on file and stops it again when attribute is there.
func startAndList(t *testing.T, file, attribute string) error {
	ports, err := freePorts("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseTemporal([]string{"--headless", "--port", strconv.Itoa(ports[0]), "--db", file, "--search-attribute", attribute, "--log-level", "never"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stop, err := startTemporal(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	c, err := client.DialContext(ctx, client.Options{HostPort: net.JoinHostPort(o.ip, strconv.Itoa(o.port))})
	if err != nil {
		return err
	}
	defer c.Close()
	missing, err := missingAttributes(ctx, c, "default", o.attributes)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("missing: %v", missing)
	}
	return err
}
