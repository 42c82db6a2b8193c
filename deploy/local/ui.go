package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/temporalio/ui-server/v2/server"
	"github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
)

// webUI is Temporal's Web UI, served from this process.
type webUI struct{ server *server.Server }

// startUI returns when the UI's pages are served.
func startUI(ctx context.Context, o *temporalOptions) (*webUI, error) {
	// The UI ends the whole process when it cannot listen, so that is checked first.
	if err := checkFree("the Web UI", o.ip, o.uiPort); err != nil {
		return nil, err
	}
	cfg := &config.Config{
		TemporalGRPCAddress: net.JoinHostPort(o.ip, strconv.Itoa(o.port)),
		Host:                o.ip,
		Port:                o.uiPort,
		EnableUI:            true,
		DefaultNamespace:    o.namespaces[0],
		DisableNewsFetch:    true, // nothing calls out
		HideLogs:            true,
		CORS:                config.CORS{CookieInsecure: true}, // plain http on loopback: a Secure cookie would be dropped
	}
	w := &webUI{server: server.NewServer(server_options.WithConfigProvider(cfg))}
	go func() { _ = w.server.Start() }()

	url := "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.uiPort)) + "/healthz"
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := poll(ctx, func() error { return answers(ctx, url) }); err != nil {
		w.stop()
		return nil, fmt.Errorf("wait for the Web UI: %w", err)
	}
	return w, nil
}

func (w *webUI) stop() {
	if w != nil {
		w.server.Stop()
	}
}

// answers reports nil when url gives status 200.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
