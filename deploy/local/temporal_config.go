package main

import (
	"net"
	"strconv"
	"strings"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
)

const clusterName = "active"

// memoryDB is the name of the shared in-memory database; one server per process, so one name is enough.
const memoryDB = "graft"

// sqlConfig is the one SQLite database that holds histories and visibility.
func sqlConfig(file string) *config.SQL {
	c := &config.SQL{PluginName: sqliteplugin.PluginName}
	if file == "" {
		c.DatabaseName = memoryDB
		c.ConnectAttributes = map[string]string{"mode": "memory", "cache": "shared"}
		return c
	}
	c.DatabaseName = uriPath(file)
	// synchronous=2 is FULL: what a worker was told is on the disk, even when the power fails.
	c.ConnectAttributes = map[string]string{"mode": "rwc", "journal_mode": "wal", "synchronous": "2"}
	return c
}

// uriPath escapes what SQLite would read as the end of a file: URI's path.
func uriPath(file string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(file)
}

// serverConfig is one process with all four services. ports are those of history, matching and worker.
func serverConfig(o *temporalOptions, db *config.SQL, ports []int) *config.Config {
	frontend := net.JoinHostPort(o.ip, strconv.Itoa(o.port))
	c := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     sqliteplugin.PluginName,
			VisibilityStore:  sqliteplugin.PluginName,
			NumHistoryShards: 1, // fixed for the life of a database
			DataStores:       map[string]config.DataStore{sqliteplugin.PluginName: {SQL: db}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {
					Enabled:                true,
					InitialFailoverVersion: 1,
					RPCAddress:             frontend,
					ClusterID:              "67726166-7400-4c6f-8361-6c0000000001", // must be a UUID; any, one cluster per database
				},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Services: map[string]config.Service{
			"frontend": service(o.ip, o.port),
			"history":  service(o.ip, ports[0]),
			"matching": service(o.ip, ports[1]),
			"worker":   service(o.ip, ports[2]),
		},
	}
	c.Archival.History.State = "disabled"
	c.Archival.Visibility.State = "disabled"
	c.NamespaceDefaults.Archival.History.State = "disabled"
	c.NamespaceDefaults.Archival.Visibility.State = "disabled"
	return c
}

func service(ip string, port int) config.Service {
	return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: ip}}
}

// hosts names the one host of each service, instead of a gossip ring of one.
func hosts(c *config.Config) map[primitives.ServiceName]static.Hosts {
	h := map[primitives.ServiceName]static.Hosts{}
	for name, s := range c.Services {
		h[primitives.ServiceName(name)] = static.SingleLocalHost(net.JoinHostPort(s.RPC.BindOnIP, strconv.Itoa(s.RPC.GRPCPort)))
	}
	return h
}

// dynamicValues are those given over those this binary insists on.
func dynamicValues(given dynamicFlag) dynamicconfig.StaticClient {
	v := dynamicconfig.StaticClient{
		// One partition of every task queue: there is one process to spread them over.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// A search attribute added at start is usable at once, not at the next refresh of the cache.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
	}
	for key, value := range given {
		v[key] = value
	}
	v[dynamicconfig.EnableServerVersionCheck.Key()] = false // it would call out
	return v
}
