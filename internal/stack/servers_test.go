package stack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

// childPID reads a child's process id from stack.json, 0 when it is not running.
func childPID(t *testing.T, dir, part string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "stack.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st struct{ Temporal, S3 struct{ PID int } }
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	if part == "s3" {
		return st.S3.PID
	}
	return st.Temporal.PID
}

func store(t *testing.T, a stack.Addresses) objectstore.Store {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": a.S3.AccessKey, "AWS_SECRET_ACCESS_KEY": a.S3.SecretKey} {
		t.Setenv(name, value)
	}
	st, err := s3.New(t.Context(), s3.Config{Endpoint: a.S3.Endpoint, Region: a.S3.Region, Bucket: a.S3.Bucket, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func putObject(t *testing.T, a stack.Addresses, key, body string) {
	t.Helper()
	if _, err := store(t, a).Put(t.Context(), key, strings.NewReader(body), objectstore.Cond{IfNoneMatch: true}); err != nil {
		t.Fatal(err)
	}
}

// startWorkflow starts one that no worker will ever run: it stays open.
func startWorkflow(t *testing.T, a stack.Addresses, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := dial(t, a).ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: "nobody"}, "Nothing"); err != nil {
		t.Fatal(err)
	}
}

func checkKept(t *testing.T, a stack.Addresses, name string) {
	t.Helper()
	got, _, err := objectstore.ReadAll(t.Context(), store(t, a), name, 100)
	if err != nil || !bytes.Equal(got, []byte("bytes")) {
		t.Errorf("object %s: %q, %v", name, got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := dial(t, a).DescribeWorkflowExecution(ctx, name, "")
	if err != nil || d.WorkflowExecutionInfo.CloseTime != nil {
		t.Errorf("workflow %s: %v, %v", name, d, err)
	}
}

// checkSignedIn asserts that S3 wants its credentials and that the namespace is as graft needs it.
func checkSignedIn(t *testing.T, a stack.Addresses) {
	t.Helper()
	if err := objectstore.Probe(t.Context(), store(t, a), "probe"); err != nil {
		t.Errorf("with the credentials: %v", err)
	}
	wrong := a
	wrong.S3.SecretKey = "wrong"
	if _, err := store(t, wrong).Stat(t.Context(), "x"); err == nil || errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("with a wrong secret: %v", err)
	}
	c := dial(t, a)
	ns, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: a.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	if got := ns.Config.WorkflowExecutionRetentionTtl.AsDuration(); got != 720*time.Hour {
		t.Errorf("retention: %v", got)
	}
	have, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: a.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range stack.SearchAttributes() {
		if got := have.CustomAttributes[want.Name]; got != want.Type {
			t.Errorf("search attribute %s: %v, want %v", want.Name, got, want.Type)
		}
	}
}

// The SDK's own way to get a server for tests takes graft-stack for the Temporal CLI.
func TestDevServer(t *testing.T) {
	t.Parallel()
	binary, err := stacktest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	step := temporal.NewSearchAttributeKeyInt64("GraftStep")
	server, err := testsuite.StartDevServer(ctx, testsuite.DevServerOptions{
		ExistingPath:     binary,
		SearchAttributes: temporal.NewSearchAttributes(step.ValueSet(0)),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Client().ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		TaskQueue: "nobody", TypedSearchAttributes: temporal.NewSearchAttributes(step.ValueSet(7)),
	}, "Nothing")
	if err != nil {
		t.Error(err)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// checkUI asserts that the pages are served, and that the UI reaches the server.
func checkUI(t *testing.T, a stack.Addresses) {
	t.Helper()
	for path, want := range map[string]string{"/namespaces/default/workflows": "<html", "/api/v1/namespaces/default": `"default"`} {
		resp, err := http.Get(a.UI + path)
		if err != nil {
			t.Error(err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(want)) {
			t.Errorf("GET %s: %s, %v, %.200s", path, resp.Status, err, body)
		}
	}
}
