package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/device-sim/program"
	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/pki/mtls"
)

// The bridges' registration at the provider, and what its tokens are for.
const (
	clientID = "carillon-bridge"
	resource = "https://settings.example.com"
)

// cluster is everything but the devices: a broker, a provider and bridges.
type cluster struct {
	cfg    Config
	dir    string
	creds  *credentials
	db     string  // of bridges
	secret string  // of the bridges, at the provider
	broker string  // host:port
	issuer string  // URL
	parts  []*part // broker, provider, bridges; without a broker that is somebody else's

	once   sync.Once
	failed chan error // of capacity 1: why the run cannot go on

	mu        sync.Mutex // guards storePeak
	storePeak int64      // bytes, as far as was seen
}

// newCluster writes the configurations of all parts, and starts none.
func newCluster(cfg Config, dir, db string, creds *credentials) (*cluster, error) {
	c := &cluster{cfg: cfg, dir: dir, creds: creds, db: db, secret: rand.Text(), failed: make(chan error, 1)}
	for _, add := range []func() error{c.addBroker, c.addProvider, c.addBridges} {
		if err := add(); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

// fail takes the first reason why the run cannot go on.
func (c *cluster) fail(err error) { c.once.Do(func() { c.failed <- err }) }

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// add prepares a part whose configuration is a file.
func (c *cluster) add(name, prog string, args []string, ready func(context.Context) error) error {
	output, err := os.OpenFile(c.path(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	c.parts = append(c.parts, &part{
		name: name, program: prog, args: args, ready: ready, output: output, failed: c.fail,
	})
	return nil
}

// addConfigured is add with a configuration to write.
func (c *cluster) addConfigured(name, prog string, config any, ready func(context.Context) error) error {
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	file := c.path(name + ".json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return c.add(name, prog, []string{file}, ready)
}

func (c *cluster) addBroker() (err error) {
	if outside := c.cfg.Broker; outside != nil {
		c.broker = outside.Address
		return nil
	}
	if c.broker, err = freeAddress(); err != nil {
		return err
	}
	files := c.creds.files(partBroker)
	return c.addConfigured(partBroker, program.Broker, program.BrokerConfig{
		Listen: c.broker, Cert: files.CertFile, Key: files.KeyFile, Roots: c.creds.rootsFile(),
	}, answers(c.broker))
}

func (c *cluster) addProvider() error {
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	c.issuer = "https://" + listen
	files := c.creds.files(partProvider)
	people := make([]provider.Person, c.cfg.Devices)
	for i := range people {
		people[i] = personOf(i)
	}
	return c.addConfigured(partProvider, program.Provider, program.ProviderConfig{
		Issuer: c.issuer, Listen: listen, Cert: files.CertFile, Key: files.KeyFile,
		SigningKey: c.creds.signingKeyFile(), Journal: c.journal(),
		ClientID: clientID, ClientSecret: c.secret, Resource: resource, Interval: c.cfg.Interval,
		Scopes: provider.SampleScopes(), People: people, Habit: c.cfg.Habit,
	}, answers(listen))
}

// journal is the provider's.
func (c *cluster) journal() string { return c.path("provider.journal") }

func (c *cluster) addBridges() error {
	for i := range c.cfg.Bridges {
		ops, err := freeAddress()
		if err != nil {
			return err
		}
		config, err := c.bridgeConfig(i, ops)
		if err != nil {
			return err
		}
		if err := c.add(bridgeName(i), program.Bridge, []string{"serve", "--config", config}, isReady(ops)); err != nil {
			return err
		}
	}
	return nil
}

// answers is when somebody listens at an address. While thousands of devices come
// back at once, connections are not refused but wait, and this one with them.
func answers(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: 100 * time.Millisecond}).DialContext(ctx, "tcp", address)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// isReady is when a bridge is connected to the broker.
func isReady(ops string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", req.URL, resp.Status)
		}
		return nil
	}
}

// start starts all parts, one after the other: each finds what it needs, and the
// first bridge makes the keys that all of them share.
func (c *cluster) start(ctx context.Context) error {
	for _, p := range c.parts {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop ends what runs, the latest first.
func (c *cluster) stop() error {
	var errs []error
	for i := len(c.parts) - 1; i >= 0; i-- {
		errs = append(errs, c.parts[i].stop(), c.parts[i].output.Close())
	}
	return errors.Join(errs...)
}

// named returns the parts that a kill is about.
func (c *cluster) named(k Kill) (parts []*part) {
	for _, p := range c.parts {
		all := k.Part == partBridge && k.Number == 0 && p.program == program.Bridge
		if all || p.name == k.name() {
			parts = append(parts, p)
		}
	}
	return parts
}

// usage is what each part has cost so far, by name.
func (c *cluster) usage() map[string]process.Usage {
	all := map[string]process.Usage{partDevices: process.Own()}
	for _, p := range c.parts {
		all[p.name] = p.usage()
	}
	if u := c.cfg.Store.Usage(); u != (process.Usage{}) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.storePeak = max(c.storePeak, u.Resident)
		u.Peak = c.storePeak
		all[partStore] = u
	}
	return all
}

// watchMemory looks now and then how large everybody is, until ctx ends.
func (c *cluster) watchMemory(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.usage()
		case <-ctx.Done():
			return
		}
	}
}

// What costs something besides the parts that can be killed: this process, in
// which all devices live, and a database server.
const (
	partDevices = "devices"
	partStore   = "database"
)

// brokerRootsFile holds the roots of the broker's certificate.
func (c *cluster) brokerRootsFile() string {
	if o := c.cfg.Broker; o != nil && o.Roots != "" {
		return o.Roots
	}
	return c.creds.rootsFile()
}

// inOrder compares the names of parts as reports list them: devices first, then
// in the order of their start.
func (c *cluster) inOrder(a, b string) int {
	place := func(name string) int {
		if name == partDevices {
			return -1
		}
		i := slices.IndexFunc(c.parts, func(p *part) bool { return p.name == name })
		if i < 0 {
			return len(c.parts)
		}
		return i
	}
	return cmp.Compare(place(a), place(b))
}

// network is what devices must know.
func (c *cluster) network() (n network, err error) {
	n.broker, n.roots = c.broker, c.creds.roots
	n.backoff = min(max(minBackoff, time.Duration(c.cfg.Devices)*backoffEach), maxBackoff)
	if n.host, _, err = net.SplitHostPort(c.broker); err != nil {
		return n, fmt.Errorf("broker: %w", err)
	}
	roots, err := mtls.ReadCertificates(c.brokerRootsFile())
	n.brokerRoots = mtls.Pool(roots...)
	return n, err
}

// describe says what is up, for people.
func (c *cluster) describe() string {
	broker := "a broker"
	if c.cfg.Broker != nil {
		broker = "(the broker is yours)"
	}
	bridges := "a bridge"
	if c.cfg.Bridges > 1 {
		bridges = fmt.Sprintf("%d bridges", c.cfg.Bridges)
	}
	return fmt.Sprintf("%s, an OpenID provider and %s on %v are up", broker, bridges, c.cfg.Store)
}
