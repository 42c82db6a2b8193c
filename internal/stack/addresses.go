package stack

import (
	"fmt"
	"os"
)

// region is what requests to the embedded S3 are signed for.
const region = "us-east-1"

// externalAddresses are those that cfg names; the rest is empty.
func externalAddresses(cfg Config) Addresses {
	a := Addresses{Temporal: cfg.ExternalTemporal, Namespace: cfg.Namespace, S3: S3{Bucket: cfg.Bucket}}
	if cfg.ExternalS3 != "aws" {
		a.S3.Endpoint = cfg.ExternalS3
	}
	return a
}

// addresses are those of cfg with its ports chosen.
func addresses(cfg Config, keys credentials) Addresses {
	a := externalAddresses(cfg)
	if cfg.ExternalTemporal == "" {
		a.Temporal = hostPort(cfg.TemporalPort)
		a.UI = "http://" + hostPort(cfg.UIPort)
	}
	if cfg.ExternalS3 == "" {
		a.S3 = S3{
			Endpoint: "http://" + hostPort(cfg.S3Port), Region: region, Bucket: cfg.Bucket,
			AccessKey: keys.AccessKey, SecretKey: keys.SecretKey,
		}
	}
	return a
}

// save writes stack.json; pid 0 says that the stack was stopped.
func (s *Stack) save(pid int) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	st := state{
		Format: stateFormat, PID: pid, Started: s.started, UI: s.UI,
		Temporal: temporalState{Address: s.Temporal, Namespace: s.Namespace, UIPort: portOfURL(s.UI), External: s.cfg.ExternalTemporal != ""},
		S3:       s3State{Endpoint: s.S3.Endpoint, Region: s.S3.Region, Bucket: s.S3.Bucket, External: s.cfg.ExternalS3 != ""},
	}
	for _, c := range s.children {
		switch c.name {
		case "Temporal":
			st.Temporal.PID, st.Temporal.Log = int(c.pid.Load()), c.program.log
		case "S3":
			st.S3.PID, st.S3.Log = int(c.pid.Load()), c.program.log
		}
	}
	if err := writeJSON(statePath(s.Dir), st); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

// addresses of a state that another process wrote.
func (st state) addresses(dir string) (Addresses, error) {
	a := Addresses{
		Temporal: st.Temporal.Address, Namespace: st.Temporal.Namespace, UI: st.UI,
		S3: S3{Endpoint: st.S3.Endpoint, Region: st.S3.Region, Bucket: st.S3.Bucket},
	}
	if st.S3.External {
		return a, nil
	}
	keys, err := readCredentials(dir)
	if os.IsPermission(err) {
		return a, mend("the stack in %s belongs to another user: %w", dir, err)
	}
	a.S3.AccessKey, a.S3.SecretKey = keys.AccessKey, keys.SecretKey
	return a, err
}
