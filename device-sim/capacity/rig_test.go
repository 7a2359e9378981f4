package capacity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/ciba/cibatest"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/device-sim/process"
	"github.com/carillon-iot/carillon/device-sim/program"
	"github.com/carillon-iot/carillon/pki/mtls/mtlstest"
)

// A rig is a provider and a bridge as processes, and a broker.
type rig struct {
	tb       testing.TB
	ca       *mtlstest.Authority
	dir      string
	db       string // of the bridge
	keys     *store.Keyring
	issuer   string
	ops      string // of the bridge, host:port
	http     *http.Client
	broker   *broker
	provider *process.Child
	bridge   *process.Child
	refused  atomic.Int64 // answers to devices that told to come again
}

// storeKey encrypts what the bridge stores.
var storeKey = make([]byte, store.KeySize)

// newRig returns a rig whose bridge has not been started. An empty db is an SQLite
// file.
func newRig(tb testing.TB, db string) *rig {
	tb.Helper()
	r := &rig{tb: tb, ca: mtlstest.New(tb), dir: tb.TempDir(), db: db}
	if db == "" {
		r.db = filepath.Join(r.dir, "bridge.db")
	}
	r.keys = must(store.NewKeyring(storeKey))
	r.http = ciba.NewHTTPClient(&tls.Config{RootCAs: r.ca.Roots()}) // what the bridge has
	tb.Cleanup(r.http.CloseIdleConnections)
	r.broker = newBroker(tb, r.ca)
	address := free(tb)
	r.issuer, r.ops = "https://"+address, free(tb)
	cert, key := r.write("provider", r.ca.Server("127.0.0.1"))
	r.provider = r.run(providerProcess, address, cert, key)
	r.until("the provider answers", func() bool { return r.get(r.issuer+"/polled", nil) == nil })
	return r
}

// run starts a process that ends with the test.
func (r *rig) run(name string, args ...string) *process.Child {
	r.tb.Helper()
	log := must(os.OpenFile(filepath.Join(r.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	child := must(process.Start(name, args, log))
	r.tb.Cleanup(func() {
		child.Stop()
		log.Close()
	})
	return child
}

// start starts the bridge and returns how long it took to be ready.
func (r *rig) start(settings ...string) time.Duration {
	r.tb.Helper()
	if r.bridge == nil {
		r.configure(settings)
	}
	began := time.Now()
	r.bridge = r.run(program.Bridge, "serve", "--config", filepath.Join(r.dir, "bridge.toml"))
	r.until("the bridge is ready", func() bool { return r.get("http://"+r.ops+"/readyz", nil) == nil })
	return time.Since(began)
}

// configure writes the bridge's settings: no quotas, so that the load is what is
// asked for.
func (r *rig) configure(settings []string) {
	cert, key := r.write("bridge", r.ca.Bridge("b1"))
	roots, keys, secret := filepath.Join(r.dir, "roots.pem"), filepath.Join(r.dir, "store.key"), filepath.Join(r.dir, "client-secret")
	r.save(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.ca.Root.Raw}))
	r.save(keys, []byte(hex.EncodeToString(storeKey)+"\n"))
	r.save(secret, []byte(cibatest.ClientSecret+"\n"))
	all := append([]string{
		"broker", r.broker.address, "cert", cert, "key", key, "roots", roots, "device-roots", roots,
		"issuer", r.issuer, "provider-roots", roots, "client-id", cibatest.ClientID, "client-secret-file", secret,
		"db", r.db, "store-key", keys, "seal-key", filepath.Join(r.dir, "seal.key"), "scopes", "car=seat,climate",
		"device-burst", "0", "device-every", "0s", "person-burst", "0", "person-every", "0s", "cool-down", "0s",
		"ops", r.ops, "log-level", "warn",
	}, settings...)
	var text []byte
	for i := 0; i < len(all); i += 2 {
		text = fmt.Appendf(text, "%s = %q\n", all[i], all[i+1])
	}
	r.save(filepath.Join(r.dir, "bridge.toml"), text)
}

// write saves a certificate and its key.
func (r *rig) write(name string, cert *tls.Certificate) (certFile, keyFile string) {
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(cert.PrivateKey))})
	certFile, keyFile = filepath.Join(r.dir, name+".pem"), filepath.Join(r.dir, name+".key")
	r.save(certFile, chain)
	r.save(keyFile, key)
	return certFile, keyFile
}

func (r *rig) save(name string, data []byte) {
	r.tb.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		r.tb.Fatal(err)
	}
}

// get makes a request that must be answered 200.
func (r *rig) get(url string, into any) error {
	resp, err := r.http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// polled asks the provider.
func (r *rig) polled() (p polled) {
	r.tb.Helper()
	if err := r.get(r.issuer+"/polled", &p); err != nil {
		r.tb.Fatal(err)
	}
	return p
}

// until waits until something is true. The limit is for what hangs.
func (r *rig) until(what string, ok func() bool) {
	r.tb.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		for _, part := range []*process.Child{r.provider, r.bridge} {
			if part != nil && over(part) {
				r.tb.Fatalf("%s: %v", what, part.Err())
			}
		}
		if time.Now().After(end) {
			r.tb.Fatalf("%s: not in time", what)
		}
	}
}

func over(part *process.Child) bool {
	select {
	case <-part.Done():
		return true
	default:
		return false
	}
}

// free returns an address on loopback at which nobody listens.
func free(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// inParallel calls f for 0 to n-1, so many at a time.
func inParallel(n, atOnce int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
